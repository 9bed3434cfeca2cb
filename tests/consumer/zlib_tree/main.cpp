#include <sansocket_zlib/codec.hpp>

#include <named_zlib.h>

int main() { return named_zlib(); }
