// The umbrella of the core, and nothing else: what including it costs.
#include <sansocket/sansocket.hpp>
