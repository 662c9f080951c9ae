// One client connection from its first byte to its last: intercept, attribute, decide, act, report.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "act/connection.hpp"
#include "gateway/admission.hpp"
#include "model/flow.hpp"

namespace imdsgate {

class Gateway;

// `flow.original` is a guarded endpoint. The gateway outlives the coroutine.
boost::asio::awaitable<void> serve(Gateway &gateway, Connection client, Flow flow, Admission::Ticket ticket);

}  // namespace imdsgate
