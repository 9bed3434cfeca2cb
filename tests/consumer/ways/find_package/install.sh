cmake -S sansocket -B build -DSANSOCKET_BUILD_TESTS=OFF -DSANSOCKET_BUILD_EXAMPLES=OFF
cmake --install build --prefix "$HOME/.local"
