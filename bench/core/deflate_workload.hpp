// deflate_workload.hpp
//
// What the benchmark of compression sends: JSON-like texts, compressed as a client does.
#pragma once

#include "peer.hpp"
#include "workload.hpp"

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

/// Text as programs send it: records that differ in their values.
inline bytes make_json(std::size_t size, std::uint32_t seed) {
    generator random;
    for (std::uint32_t i = 0; i != seed % 1000; ++i) random();
    const char* const cities[] = {"Berlin", "Lagos", "Quito", "Osaka", "Perth", "Lima"};
    std::string out = "[";
    while (out.size() < size) {
        const auto number = [&](std::uint32_t below) { return std::to_string(random() % below); };
        out += "{\"id\":" + number(1000000) + ",\"name\":\"user" + number(5000) +
               "\",\"email\":\"u" + number(5000) + "@example.com\",\"city\":\"" +
               cities[random() % 6] + "\",\"active\":" + (random() % 2 ? "true" : "false") +
               ",\"balance\":" + number(100000) + "." + number(100) + "},";
    }
    out.resize(size);
    return {out.begin(), out.end()};
}

/// zlib's streams of one endpoint.
class zlib_pair {
public:
    explicit zlib_pair(takeover t) : takeover_(t) {
        if (deflateInit2(&out_, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
            inflateInit2(&in_, -15) != Z_OK)
            throw std::runtime_error("zlib does not begin");
    }
    zlib_pair(const zlib_pair&) = delete;
    zlib_pair& operator=(const zlib_pair&) = delete;
    ~zlib_pair() {
        deflateEnd(&out_);
        inflateEnd(&in_);
    }

    /// The payload of a compressed message.
    void compress(const bytes& text, bytes& to) {
        if (takeover_ == takeover::no) deflateReset(&out_);
        to.resize(text.size() + 1024);
        out_.next_in = const_cast<Bytef*>(text.data());
        out_.avail_in = static_cast<uInt>(text.size());
        out_.next_out = to.data();
        out_.avail_out = static_cast<uInt>(to.size());
        deflate(&out_, Z_SYNC_FLUSH);
        to.resize(to.size() - out_.avail_out - 4);
    }
    /// What is in one.
    void decompress(bytes& payload, bytes& to) {
        for (const int b : {0, 0, 0xff, 0xff}) payload.push_back(static_cast<byte>(b));
        in_.next_in = payload.data();
        in_.avail_in = static_cast<uInt>(payload.size());
        in_.next_out = to.data();
        in_.avail_out = static_cast<uInt>(to.size());
        if (inflate(&in_, Z_SYNC_FLUSH) != Z_OK || in_.avail_in != 0)
            throw std::runtime_error("what came back is no deflate data");
        to.resize(to.size() - in_.avail_out);
        if (takeover_ == takeover::no) inflateReset(&in_);
    }

private:
    takeover takeover_;
    z_stream out_{};
    z_stream in_{};
};

/// Appends the payload of the compressed text whose frames, a server's, begin at `at`.
/// @return where they end; 0 where there is more to come. Throws where RSV1 is not as it has to be.
inline std::size_t read_compressed(const bytes& from, std::size_t at, bytes& payload) {
    for (bool first = true;; first = false) {
        if (from.size() - at < 2) return 0;
        const byte start = from[at];
        if ((start & 0x7f) != (first ? 0x41 : 0))
            throw std::runtime_error("what came back is no compressed text");
        std::size_t size = from[at + 1];
        const std::size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
        at += 2;
        if (from.size() - at < more) return 0;
        if (more != 0) size = 0;
        for (std::size_t i = 0; i != more; ++i) size = size << 8U | from[at++];
        if (from.size() - at < size) return 0;
        const auto begin = from.begin() + static_cast<std::ptrdiff_t>(at);
        payload.insert(payload.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
        at += size;
        if ((start & 0x80) != 0) return at;
    }
}

/// Messages of one size, about 1 MiB of them.
struct deflate_workload {
    deflate_workload(takeover t, std::size_t size) : how(t) {
        zlib_pair client(t);
        generator random;
        bytes payload;
        for (std::uint32_t i = 0; i != (1U << 20U) / size; ++i) {
            payloads.push_back(make_json(size, i));
            client.compress(payloads.back(), payload);
            const std::size_t at = frames.size();
            append_masked_frame(frames, kind::text, payload, random());
            frames[at] |= 0x40;
            compressed.push_back(payload);
        }
    }

    wire as_wire() const { return {frames.data(), frames.size(), payloads.size()}; }

    /// Whether `sent` is the same messages in a server's frames, with RSV1. Called for one echo after
    /// the other of the same server.
    bool is_echo(const bytes& sent) {
        std::size_t at = 0;
        for (const bytes& wanted : payloads) {
            bytes payload;
            at = read_compressed(sent, at, payload);
            if (at == 0) return false;
            bytes text(wanted.size() + 64);
            peer_->decompress(payload, text);
            if (text != wanted) return false;
        }
        if (at == sent.size() && ++echoes_ == 2) {  // the next server begins afresh
            echoes_ = 0;
            peer_ = std::make_unique<zlib_pair>(how);
        }
        return at == sent.size();
    }

    /// The engine without a library around it: decompresses and compresses every message.
    void codec_alone() {
        if (!alone_) alone_ = std::make_unique<zlib_pair>(how);
        bytes payload, text, out;
        for (const bytes& one : compressed) {
            payload = one;
            text.resize(payloads.front().size() + 64);
            alone_->decompress(payload, text);
            alone_->compress(text, out);
        }
    }

    takeover how;
    std::vector<bytes> payloads;
    std::vector<bytes> compressed;
    bytes frames;

private:
    std::unique_ptr<zlib_pair> peer_ = std::make_unique<zlib_pair>(how);
    std::unique_ptr<zlib_pair> alone_;
    int echoes_ = 0;
};

}  // namespace bench
