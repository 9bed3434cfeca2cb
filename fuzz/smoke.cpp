// Runs a fuzz target without a fuzzer: seeds, and changes to them by a fixed sequence of numbers.
// Any compiler builds it; it finds what is near the surface, and a fuzzer the rest.
//
// usage: smoke [RUNS]
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using input = std::vector<std::uint8_t>;

input from(std::string_view text) { return {text.begin(), text.end()}; }

// Frames with masking key 0, so that they are legal for a server; without it, for a client.
std::vector<input> seeds() {
    using namespace std::string_literals;
    const std::string masked[] = {"\x81\x85\0\0\0\0Hello"s,
                                  "\x01\x83\0\0\0\0Hel\x89\x80\0\0\0\0\x80\x82\0\0\0\0lo"s,
                                  "\x88\x85\0\0\0\0\x03\xe8"s
                                  "bye"s,
                                  "\x82\xfe\0\x7e\0\0\0\0"s + std::string(126, 'x'),
                                  "\x81\x84\0\0\0\0\xf0\x9f\x98\x80"s,
                                  "\x88\x80\0\0\0\0"s};
    const std::string plain[] = {"\x81\x05Hello"s,
                                 "\x01\x03Hel\x89\x00\x80\x02lo"s,
                                 "\x88\x05\x03\xe8"s
                                 "bye"s,
                                 "\x82\x7e\0\x7e"s + std::string(126, 'x'),
                                 "\x81\x04\xf0\x9f\x98\x80"s,
                                 "\x88\x00"s};
    const std::string request =
        "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const std::string response =
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";
    const std::string refusals[] = {
        "HTTP/1.1 403 No\r\nContent-Length: 18\r\n\r\nno, nobody, never!"s,
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nno\r\n4\r\n way\r\n0\r\nT: t\r\n\r\n"s,
        "HTTP/1.1 302 \r\nLocation: /\r\n\r\nthere"s};
    // Compressed: the RFC's own bytes, whole, in fragments, behind a last block, and a run of zeros.
    const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\0"s;
    const std::string packed[] = {hello,
                                  "\xf2\0\x11\0\0"s,
                                  "\xf3\x48\xcd\xc9\xc9\x07\0\0"s,
                                  "\0"s,
                                  "\xec\xc1\x01\x0d\0\0\0\xc2\xa0\xf7\x4f\x6d\x0e\x37\xa0\0\0"s,
                                  "\0\x05\0\xfa\xff"
                                  "Hello\0"s};
    std::vector<input> out;
    for (const auto& p : packed) {
        const std::string size(1, static_cast<char>(p.size()));
        const std::string half(1, static_cast<char>(p.size() / 2));
        const std::string rest(1, static_cast<char>(p.size() - p.size() / 2));
        out.push_back(from("\x01\x06\xc1"s + size + p + "\xc1\x05\xf2\0\x11\0\0"s));
        out.push_back(from("\x01\x03\x42"s + half + p.substr(0, p.size() / 2) + "\x89\0\x80"s +
                           rest + p.substr(p.size() / 2)));
        const std::string masked_size(1, static_cast<char>(0x80U | p.size()));
        out.push_back(
            from("\0\x06\xc2"s + masked_size + "\0\0\0\0"s + p + "\xc1\x87\0\0\0\0"s + hello));
    }
    for (int more = 0; more != 2; ++more) {
        const char end = static_cast<char>(more * 4);
        for (const auto& m : masked) out.push_back(from(std::string{end} + "\x06" + m + masked[0]));
        for (const auto& p : plain)
            out.push_back(from(std::string{static_cast<char>(end + 1)} + "\x06" + p + plain[0]));
        out.push_back(from(std::string{static_cast<char>(end + 2)} + "\x10" + request + masked[0]));
        out.push_back(from(std::string{static_cast<char>(end + 3)} + "\x10" + response + plain[0]));
        for (const auto& r : refusals)
            out.push_back(from(std::string{static_cast<char>(end + 3)} + "\x10" + r));
    }
    return out;
}

void mutate(input& data, std::mt19937& random) {
    const auto below = [&](std::size_t n) {
        return std::uniform_int_distribution<std::size_t>{0, n - 1}(random);
    };
    for (std::size_t times = below(6); times != 0; --times) {
        const std::size_t at = below(data.size());
        switch (below(4)) {
        case 0: data[at] = static_cast<std::uint8_t>(below(256)); break;
        case 1: data[at] ^= static_cast<std::uint8_t>(1U << below(8)); break;
        case 2:
            data.insert(data.begin() + static_cast<std::ptrdiff_t>(at), data.begin(),
                        data.begin() + static_cast<std::ptrdiff_t>(below(data.size())));
            break;
        default: data.resize(at + 1); break;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const long runs = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 20'000;
    const auto all = seeds();
    for (const auto& seed : all) LLVMFuzzerTestOneInput(seed.data(), seed.size());
    std::mt19937 random{1};
    for (long i = 0; i < runs; ++i) {
        input data = all[static_cast<std::size_t>(i) % all.size()];
        mutate(data, random);
        LLVMFuzzerTestOneInput(data.data(), data.size());
    }
    std::printf("%zu seeds and %ld changes to them\n", all.size(), runs);
}
