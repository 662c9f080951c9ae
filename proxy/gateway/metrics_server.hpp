// GET /metrics over HTTP, for Prometheus.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "intercept/listener.hpp"
#include "report/metrics.hpp"

namespace imdsgate {

// Serves until the listener is closed; `refresh` brings gauges up to date before each answer. References outlive it.
boost::asio::awaitable<void> serve_metrics(Listener &listener, Metrics &metrics, std::function<void()> const &refresh);

}  // namespace imdsgate
