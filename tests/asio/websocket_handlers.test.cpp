// What belongs to a handler: where it runs, and who allocates for it.
#include <sansocket_asio/websocket.hpp>

#include "support/asio_loop.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <memory>

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
    p.server.async_receive(asio::bind_executor(
        elsewhere, [&](std::error_code ec, const sansocket::message&) { called += !ec; }));
    CHECK(elsewhere.poll() == 0);
    CHECK_FALSE(elsewhere.stopped());  // it has something to wait for
    l.until(send(p.client, "x"));
    l.until([&] { return elsewhere.poll() == 1; });
    CHECK(called == 1);
    CHECK(elsewhere.stopped());
    close_both(l, p);
}
