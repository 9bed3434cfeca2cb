// What belongs to a handler: where it runs, and who allocates for it.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/io_context.hpp>
#include <asio/io_context_strand.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>

using namespace support;

TEST_CASE("websocket handlers: a handler that can only be moved") {
    loop l;
    websocket_pair p(l);
    bool done = false;
    p.server.async_receive(
        [owned = std::make_unique<int>(1), &done](std::error_code ec, const sansocket::message& m) {
            done = !ec && m.data == "x" && *owned == 1;
        });
    l.until(send(p.client, "x"));
    l.until([&] { return done; });
    close_both(l, p);
}

namespace {

template <class T>
struct counting {
    using value_type = T;
    explicit counting(int& n) : count(&n) {}
    template <class U>
    counting(const counting<U>& o) noexcept : count(o.count) {}
    T* allocate(std::size_t n) {
        ++*count;
        return std::allocator<T>{}.allocate(n);
    }
    void deallocate(T* p, std::size_t n) { std::allocator<T>{}.deallocate(p, n); }
    template <class U>
    bool operator==(const counting<U>& o) const noexcept {
        return count == o.count;
    }
    int* count;
};

struct counting_handler {
    using allocator_type = counting<std::byte>;
    allocator_type get_allocator() const noexcept { return allocator_type(*count); }
    void operator()(std::error_code, const sansocket::message& = {}) const { ++*called; }
    int* count;
    int* called;
};

}  // namespace

TEST_CASE("websocket handlers: a handler's allocator is used for what waits for it") {
    loop l;
    websocket_pair p(l);
    int allocations = 0;
    int called = 0;
    p.server.async_receive(counting_handler{&allocations, &called});
    CHECK(allocations > 0);
    l.until(send(p.client, "x"));
    l.until([&] { return called == 1; });
    allocations = 0;
    p.client.async_close(close_code::normal, {}, counting_handler{&allocations, &called});
    CHECK(allocations > 0);
    l.until([&] { return called == 2; });
}

TEST_CASE("websocket handlers: the executor of a handler waits for it") {
    loop l;
    websocket_pair p(l);
    asio::io_context elsewhere;
    int called = 0;
    const auto count = [&](std::error_code ec, const sansocket::message&) { called += !ec; };
    SECTION("one of today") { p.server.async_receive(asio::bind_executor(elsewhere, count)); }
    SECTION("one as there were before") {
        const asio::io_context::strand strand(elsewhere);
        p.server.async_receive(asio::bind_executor(strand, count));
    }
    CHECK(elsewhere.poll() == 0);
    CHECK_FALSE(elsewhere.stopped());  // it has something to wait for
    l.until(send(p.client, "x"));
    l.until([&] { return elsewhere.poll() != 0; });
    CHECK(called == 1);
    CHECK(elsewhere.stopped());
    close_both(l, p);
}

namespace {

// Memory that goes away with the handler that brings it.
struct bringing_handler {
    struct memory {
        ~memory() { CHECK(in_use == 0); }
        std::size_t in_use = 0;
    };
    template <class T>
    struct allocator {
        using value_type = T;
        explicit allocator(memory& m) : from(&m) {}
        template <class U>
        allocator(const allocator<U>& o) noexcept : from(o.from) {}
        T* allocate(std::size_t n) {
            from->in_use += n;
            return std::allocator<T>{}.allocate(n);
        }
        void deallocate(T* p, std::size_t n) {
            from->in_use -= n;
            std::allocator<T>{}.deallocate(p, n);
        }
        template <class U>
        bool operator==(const allocator<U>& o) const noexcept {
            return from == o.from;
        }
        memory* from;
    };
    using allocator_type = allocator<std::byte>;

    allocator_type get_allocator() const noexcept { return allocator_type(*brought); }
    void operator()(std::error_code, const sansocket::message& = {}) const { ++*called; }

    int* called;
    std::unique_ptr<memory> brought = std::make_unique<memory>();
};

}  // namespace

TEST_CASE("websocket handlers: a handler may own the memory that its operation is in") {
    int called = 0;
    {
        loop l;
        l.left_open = true;  // the last of them is destroyed with its context
        websocket_pair p(l);
        p.server.async_receive(bringing_handler{&called});
        l.until(send(p.client, "x"));
        l.until([&] { return called == 1; });
        p.server.async_receive(bringing_handler{&called});
    }
    CHECK(called == 1);
}

TEST_CASE("websocket handlers: what is cancelled after it has completed is nothing") {
    loop l;
    websocket_pair p(l);
    int taken = 0;
    p.server.async_run([&](sansocket::message_view) { ++taken; }, [](std::error_code) {});
    asio::cancellation_signal stop;
    const result before = send(p.client, std::string(std::size_t{16} << 20U, 'x'));
    const result sent;
    p.client.async_send_text("waits", asio::bind_cancellation_slot(stop.slot(), sent));
    CHECK(p.client.try_send(sansocket::message_kind::text, {}) == errc::backpressure);  // it waits
    l.until([&] { return taken == 2 && sent.done(); });
    CHECK(!sent.ec());
    stop.emit(asio::cancellation_type::total);
    l.until(send(p.client, "goes on"));
    p.client.abort();
    p.server.abort();
    l.poll();
}
