// Writes a recording of a server's conversation to the file that is named, for the program that prints
// it.
#include <sansocket_trace/recorder.hpp>

#include "support/endpoint.hpp"

#include <fstream>
#include <iostream>
#include <string>
#include <utility>

using namespace support;
using sansocket::opcode;

namespace {

struct to_file {
    std::ofstream file;
    void operator()(std::span<const std::byte> part) {
        file.write(reinterpret_cast<const char*>(part.data()),
                   static_cast<std::streamsize>(part.size()));
    }
};

template <class Recorder>
void write_out(Recorder& c, sansocket::time_point now) {
    while (c.wants_write()) c.consume_output(c.output().bytes(), now);
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) return 2;
    using server_recorder = sansocket_trace::recorder<sansocket::connection<role::server>, to_file>;
    sansocket::time_point now{1h};
    server_recorder c(sansocket::server_policy{}, now, {}, sansocket::source_location::current(),
                      to_file{std::ofstream(argv[1], std::ios::binary)});
    const auto feed = [&](byte_vector data) {
        now += 1500us;
        c.receive(data, now);
    };
    feed(bytes(upgrade_request));
    write_out(c, now);
    feed(frame<role::server>(opcode::text, bytes("hel"), false) +
         frame<role::server>(opcode::ping, bytes("?")) +
         frame<role::server>(opcode::continuation, bytes("lo \"all\"")));
    while (const auto m = c.messages().pop()) c.send(m->kind, m->bytes);
    write_out(c, now);
    feed(frame<role::server>(opcode::close, close_bytes(1001, "gone")));
    write_out(c, now);
    c.receive_end(now);
    return c.close_info().clean ? 0 : 1;
}
