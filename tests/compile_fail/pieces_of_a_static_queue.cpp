// A queue that holds whole messages alone is refused by name where pieces are to be taken out of it.
// expect: the message queue has no pop_piece\(\).*message_queue has
#include <sansocket/machine/message_queue.hpp>
#include <sansocket/machine/static_message_queue.hpp>

#ifdef SANSOCKET_REJECT
using queue = sansocket::static_message_queue<4096, 16>;
#else
using queue = sansocket::message_queue<>;
#endif

// As async_receive_some does.
static_assert(sansocket::detail::check_piecewise_queue<queue>());
