// sansocket_trace.hpp
//
// Recording a connection, and replaying the recording.
#pragma once

#include <sansocket_trace/recorder.hpp>
#include <sansocket_trace/recording.hpp>
#include <sansocket_trace/replay.hpp>
