// A message queue that cannot say whether it has ended is refused where the connection is made, with
// a message that names what is missing.
// expect: no is_eof\(\)
#include <sansocket/connection.hpp>

#include <cstddef>
#include <span>

struct queue {
    bool push(sansocket::message_kind, std::span<const std::byte>) { return false; }
    bool begin(sansocket::message_kind) { return false; }
    std::byte* extend(std::size_t) { return nullptr; }
    void finish() {}
    void abandon() noexcept {}
    void clear() noexcept {}
    void end(sansocket::errc) noexcept {}
    void shrink() noexcept {}
#ifdef SANSOCKET_REJECT
    // nothing says whether the end was signalled
#else
    [[nodiscard]] bool is_eof() const noexcept { return false; }
#endif
    [[nodiscard]] bool at_eof() const noexcept { return false; }
    [[nodiscard]] sansocket::errc cause() const noexcept { return sansocket::errc::ok; }
    [[nodiscard]] std::size_t size() const noexcept { return 0; }
    [[nodiscard]] std::size_t bytes() const noexcept { return 0; }
    [[nodiscard]] bool paused() const noexcept { return false; }
};

using server = sansocket::connection<sansocket::role::server, queue>;

// What a teardown path does.
bool is_over(server& connection) {
    connection.abort();
    return connection.messages().at_eof();
}
