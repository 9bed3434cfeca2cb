#include "includes.hpp"

sansocket::errc second();

int main() { return second() == sansocket::errc::ok ? 0 : 1; }
