// The parts of a request of HTTP/1; see parts.h.
#pragma once

#include "dataplane/payload/parts.h"

namespace sluice::payload {

Part find_http_target(std::span<const std::byte> start);
Part find_http_host(std::span<const std::byte> start, PartScratch& scratch);

}  // namespace sluice::payload
