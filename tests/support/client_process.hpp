// The clients of a load test, in a process of their own: they share neither descriptors nor memory with
// the server that is tested. They are driven by orders, a number each, and answer with a number.
#pragma once

#include "asio_loop.hpp"

#include <asio/buffer.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <system_error>
#include <utility>

namespace support {

/// The orders as the clients see them.
class order_channel {
public:
    explicit order_channel(asio::local::stream_protocol::socket s) : socket_(std::move(s)) {}
    /// Waits for the next; throws where there will be none.
    std::uint32_t order() {
        std::uint32_t n = 0;
        asio::read(socket_, asio::buffer(&n, sizeof n));
        return n;
    }
    void answer(std::uint32_t n) { asio::write(socket_, asio::buffer(&n, sizeof n)); }

private:
    asio::local::stream_protocol::socket socket_;
};

class client_process {
public:
    /// Forks. `run(asio::io_context&, order_channel&)` is all that the process does: it runs with
    /// blocking calls, asserts nothing and throws what goes wrong. It is ended after `loop::longest`,
    /// and with this process.
    template <class Run>
    client_process(loop& l, Run run) : loop_(&l), socket_(l.io) {
        int ends[2] = {};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        process_ = ::fork();
        REQUIRE(process_ >= 0);
        if (process_ == 0) {
            ::close(ends[0]);
            ::_exit(run_here(ends[1], run));
        }
        ::close(ends[1]);
        socket_.assign(asio::local::stream_protocol{}, ends[0]);
    }
    client_process(const client_process&) = delete;
    client_process& operator=(const client_process&) = delete;
    ~client_process() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    void order(std::uint32_t n) { asio::write(socket_, asio::buffer(&n, sizeof n)); }
    /// Runs the loop until the clients have answered.
    std::uint32_t answer() {
        std::uint32_t n = 0;
        bool done = false;
        std::error_code failed;
        asio::async_read(socket_, asio::buffer(&n, sizeof n), [&](std::error_code ec, std::size_t) {
            failed = ec;
            done = true;
        });
        loop_->until([&] { return done; });
        REQUIRE(!failed);  // else the process says why on its standard error
        return n;
    }
    /// Waits for its end.
    void finish() {
        int status = -1;
        REQUIRE(::waitpid(std::exchange(process_, 0), &status, 0) > 0);
        CHECK(status == 0);
    }

private:
    template <class Run>
    int run_here(int descriptor, Run& run) const {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::alarm(static_cast<unsigned>(loop_->longest.count()));
        try {
            asio::io_context io;
            order_channel orders(asio::local::stream_protocol::socket(
                io, asio::local::stream_protocol{}, descriptor));
            run(io, orders);
            return 0;
        } catch (const std::exception& error) {
            std::cerr << "clients: " << error.what() << std::endl;
            return 1;
        }
    }

    loop* loop_;
    asio::local::stream_protocol::socket socket_;
    ::pid_t process_ = 0;
};

/// How many descriptors a process may have, having asked for as many as there are.
inline std::size_t descriptor_limit() {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

}  // namespace support
