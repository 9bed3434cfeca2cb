#include "includes.hpp"

sansocket::errc second() {
    return SANSOCKET_VERSION > 0 ? sansocket::errc::ok : sansocket::errc::aborted;
}
