// trace.cpp
//
// Prints a recording of a connection: each call with its time and answer, the
// frames in both directions, and the changes of state. Runs the recording while
// it does, and says whether everything came out as it was recorded.
//
//   trace FILE
//
// Exit status: 0 if it replays exactly, 1 if not or if the recording is not whole.
#include <sansocket_trace/replay.hpp>
#ifdef WITH_ZLIB
#include <sansocket_zlib/codec.hpp>
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sansocket_trace;

std::string quoted(std::span<const std::byte> data) {
    std::string out = "\"";
    for (const std::byte b : data.first(std::min<std::size_t>(data.size(), 48))) {
        const auto c = static_cast<unsigned char>(b);
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(c));
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') out += static_cast<char>(c);
        else out += escaped;
    }
    return out + (data.size() > 48 ? "\"..." : "\"");
}

std::string_view name_of(sansocket::opcode op) {
    switch (op) {
    case sansocket::opcode::continuation: return "continuation";
    case sansocket::opcode::text: return "text";
    case sansocket::opcode::binary: return "binary";
    case sansocket::opcode::close: return "Close";
    case sansocket::opcode::ping: return "Ping";
    case sansocket::opcode::pong: return "Pong";
    }
    return "reserved";
}

// One direction: the head of the opening handshake, then frames as an endpoint of `Reader` reads them.
template <sansocket::role Reader>
class direction {
public:
    explicit direction(const char* arrow) : arrow_(arrow) {}

    void show(std::span<const std::byte> bytes) {
        std::vector<std::byte> copy(bytes.begin(), bytes.end());
        std::span<std::byte> in = copy;
        while (in_head_ && !in.empty()) {
            head_ += static_cast<char>(in.front());
            in = in.subspan(1);
            if (!head_.ends_with("\r\n\r\n")) continue;
            in_head_ = false;
            for (std::size_t at = 0; at + 2 < head_.size();) {
                const std::size_t end = head_.find("\r\n", at);
                std::cout << "      " << arrow_ << ' ' << head_.substr(at, end - at) << '\n';
                at = end + 2;
            }
        }
        frames_.allow_compressed();
        sansocket::compressible_piece piece;
        while (!in.empty()) {
            const sansocket::errc ec = frames_.next(in, piece);
            if (ec == sansocket::errc::need_more) return;
            if (ec != sansocket::errc::ok) {
                std::cout << "      " << arrow_ << " no frame: " << sansocket::describe(ec) << '\n';
                return;
            }
            show(piece);
        }
    }

private:
    void show(const sansocket::compressible_piece& piece) {
        if (Reader == sansocket::role::server) sansocket::mask_in_place(piece.payload, piece.key);
        std::cout << "      " << arrow_ << ' ';
        if (piece.first) {
            std::cout << (piece.compressed ? "compressed " : "") << name_of(piece.opcode)
                      << (piece.fin ? "" : " fragment") << ", " << piece.payload_length << " bytes";
            if (Reader == sansocket::role::server) std::cout << ", masked";
        } else {
            std::cout << piece.payload.size() << " bytes more";
        }
        const auto whole = piece.opcode == sansocket::opcode::close && piece.first && piece.last;
        const auto close = whole ? sansocket::parse_close_payload(piece.payload)
                                 : sansocket::close_payload_result{};
        if (whole && close.ec == sansocket::errc::ok && !piece.payload.empty())
            std::cout << ": " << static_cast<unsigned>(close.code) << ' ' << close.reason;
        else if (!piece.payload.empty()) std::cout << ": " << quoted(piece.payload);
        std::cout << '\n';
    }

    const char* arrow_;
    bool in_head_ = true;
    std::string head_;
    sansocket::frame_reader<Reader, sansocket::rsv1::compressed> frames_;
};

// What recordings of compressed connections are replayed with.
#ifdef WITH_ZLIB
using codec = sansocket_zlib::codec;
#else
using codec = sansocket::no_deflate;
#endif
using queue = sansocket::message_queue<>;

// Prints what a connection of `Role` did.
template <sansocket::role Role>
class printer : public replay_watcher {
    static constexpr auto peer =
        Role == sansocket::role::client ? sansocket::role::server : sansocket::role::client;

public:
    void begins(const head& h) {
        start_ = h.start;
        std::cout << (Role == sansocket::role::client ? "client" : "server")
                  << ", recorded by version " << h.library / 10000 << '.' << h.library / 100 % 100
                  << '.' << h.library % 100 << '\n';
    }
    template <class Connection>
    void called(const record& r, std::span<const std::byte> sent, const Connection& c) {
        const auto us =
            std::chrono::duration_cast<std::chrono::microseconds>(r.at - start_).count();
        std::printf("%10.6f %s", static_cast<double>(us) / 1e6,
                    std::string{call_names[static_cast<std::size_t>(r.what)]}.c_str());
        std::fflush(stdout);
        if (r.number != 0) std::cout << ' ' << r.number;
        if (!r.bytes.empty()) std::cout << ' ' << r.bytes.size() << " bytes";
        if (!r.text.empty()) std::cout << ' ' << quoted(std::as_bytes(std::span{r.text}));
        if (answers_by_name(r.what) && r.answer != 0)
            std::cout << " = " << sansocket::describe(static_cast<sansocket::errc>(r.answer));
        std::cout << '\n';
        if (r.what == call::receive)
            received_.show(std::span{r.bytes}.first(
                std::min<std::size_t>(r.bytes.size(), static_cast<std::size_t>(r.answer))));
        sent_.show(sent);
        if (c.state() == state_) return;
        state_ = c.state();
        std::cout << "      is " << sansocket::name_of(state_);
        if (c.close_info().cause != sansocket::errc::ok)
            std::cout << ": " << sansocket::describe(c.close_info().cause);
        std::cout << '\n';
    }
    void popped(const sansocket::message_view& m) {
        std::cout << "      message: " << quoted(m.bytes) << '\n';
    }

private:
    static bool answers_by_name(call what) {
        return (what >= call::send && what <= call::close) || what == call::accept ||
               what == call::refuse || what == call::send_prepared;
    }

    sansocket::time_point start_{};
    sansocket::connection_state state_ = sansocket::connection_state::opening;
    direction<Role> received_{"<"};
    direction<peer> sent_{">"};
};

std::string_view explanation(trace_error error) {
    switch (error) {
    case trace_error::ok: return "";
    case trace_error::not_a_trace: return "is no recording";
    case trace_error::unknown_version: return "is of a newer form";
    case trace_error::truncated: return "ends in the middle";
    case trace_error::corrupt: return "is damaged";
    }
    return "";
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) {
        std::cerr << "usage: trace FILE\n";
        return 2;
    }
    std::ifstream file(argv[1], std::ios::binary);
    if (!file) {
        std::cerr << "trace: cannot read " << argv[1] << '\n';
        return 2;
    }
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto data = std::as_bytes(std::span{text});
    const bool of_client = recording(data).head().role == sansocket::role::client;
    const replay_result result =
        of_client ? replay<queue, codec>(data, printer<sansocket::role::client>{})
                  : replay<queue, codec>(data, printer<sansocket::role::server>{});
    if (result.differs)
        std::cout << "differs from what was recorded at call " << *result.differs << '\n';
    if (result.error != trace_error::ok)
        std::cout << "the recording " << explanation(result.error) << " after " << result.records
                  << " calls\n";
    if (!result.same()) return 1;
    std::cout << result.records << " calls, replayed exactly\n";
    return 0;
}
