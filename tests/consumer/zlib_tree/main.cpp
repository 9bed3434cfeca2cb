#if __has_include(<sansocket_zlib/codec.hpp>)
#include <sansocket_zlib/codec.hpp>
#else  // the single headers
#include <sansocket_zlib/sansocket_zlib.hpp>
#endif

#include <named_zlib.h>

int main() { return named_zlib(); }
