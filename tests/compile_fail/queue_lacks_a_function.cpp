// A message queue that lacks any one of the functions asked of it, or has a query or a teardown
// function that may throw, or one that returns something else, is refused with a message that names that
// function. So is one that cannot be popped, where it is to be.
// expect -DSANSOCKET_LACKS=push: has no push\(message_kind, span<const byte>\) -> bool
// expect -DSANSOCKET_LACKS=begin: has no begin\(message_kind\) -> bool
// expect -DSANSOCKET_LACKS=extend: has no extend\(size_t\) -> byte\*
// expect -DSANSOCKET_LACKS=finish: has no finish\(\)
// expect -DSANSOCKET_LACKS=abandon: has no abandon\(\) noexcept
// expect -DSANSOCKET_LACKS=clear: has no clear\(\) noexcept
// expect -DSANSOCKET_LACKS=end: has no end\(errc\) noexcept
// expect -DSANSOCKET_LACKS=shrink: has no shrink\(\) noexcept
// expect -DSANSOCKET_LACKS=is_eof: has no is_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_LACKS=at_eof: has no at_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_LACKS=cause: has no cause\(\) const noexcept -> errc
// expect -DSANSOCKET_LACKS=size: has no size\(\) const noexcept
// expect -DSANSOCKET_LACKS=bytes: has no bytes\(\) const noexcept
// expect -DSANSOCKET_LACKS=paused: has no paused\(\) const noexcept -> bool
// expect -DSANSOCKET_THROWS=abandon: has no abandon\(\) noexcept
// expect -DSANSOCKET_THROWS=clear: has no clear\(\) noexcept
// expect -DSANSOCKET_THROWS=end: has no end\(errc\) noexcept
// expect -DSANSOCKET_THROWS=shrink: has no shrink\(\) noexcept
// expect -DSANSOCKET_THROWS=is_eof: has no is_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_THROWS=at_eof: has no at_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_THROWS=cause: has no cause\(\) const noexcept -> errc
// expect -DSANSOCKET_THROWS=size: has no size\(\) const noexcept
// expect -DSANSOCKET_THROWS=bytes: has no bytes\(\) const noexcept
// expect -DSANSOCKET_THROWS=paused: has no paused\(\) const noexcept -> bool
// expect -DSANSOCKET_RETURNS=push: has no push\(message_kind, span<const byte>\) -> bool
// expect -DSANSOCKET_RETURNS=begin: has no begin\(message_kind\) -> bool
// expect -DSANSOCKET_RETURNS=extend: has no extend\(size_t\) -> byte\*
// expect -DSANSOCKET_RETURNS=is_eof: has no is_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_RETURNS=at_eof: has no at_eof\(\) const noexcept -> bool
// expect -DSANSOCKET_RETURNS=cause: has no cause\(\) const noexcept -> errc
// expect -DSANSOCKET_RETURNS=size: has no size\(\) const noexcept
// expect -DSANSOCKET_RETURNS=bytes: has no bytes\(\) const noexcept
// expect -DSANSOCKET_RETURNS=paused: has no paused\(\) const noexcept -> bool
// expect -DSANSOCKET_LACKS=pop: has no pop\(\) -> optional<message_view>
// expect -DSANSOCKET_RETURNS=pop: has no pop\(\) -> optional<message_view>
#include <sansocket/machine/message_queue_concept.hpp>

#include "support/queue_model.hpp"

#ifndef SANSOCKET_LACKS
#define SANSOCKET_LACKS none
#endif
#ifndef SANSOCKET_THROWS
#define SANSOCKET_THROWS none
#endif
#ifndef SANSOCKET_RETURNS
#define SANSOCKET_RETURNS none
#endif

using support::queue_function;
using queue =
    support::queue_model<queue_function::SANSOCKET_LACKS, queue_function::SANSOCKET_THROWS,
                         queue_function::SANSOCKET_RETURNS>;

// As the connection does, and as an adapter.
static_assert(sansocket::detail::check_message_queue<queue>());
static_assert(sansocket::detail::check_poppable_queue<queue>());
