#include <sansocket/version.hpp>

int main() { return sansocket::version_minor == SANSOCKET_VERSION / 100 % 100 ? 0 : 1; }
