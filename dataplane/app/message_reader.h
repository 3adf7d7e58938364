// Reads what the control plane sends. Nothing in it is trusted; every refusal is a sentence that
// goes back in Rejected.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>

#include "common/result.h"
#include "dataplane/contract/message.h"

namespace sluice::dataplane {

using Request =
    std::variant<contract::Offer, contract::StatesRequest, contract::KillStates,
                 contract::RecheckStates, contract::TablesRequest, contract::TraceRequest,
                 contract::WatchOrder, contract::PatternRequest, contract::Order>;

// `message` is one whole datagram, `descriptors` the number of descriptors that came with it: one
// with an offer or a batch of changes to tables, none with anything else.
Result<Request> read_request(std::span<const std::byte> message, std::size_t descriptors);

// The descriptor is a memfd that nobody can change any more, and as large as the message says.
// `name` as in "the snapshot".
Result<Done> check_image_file(int descriptor, std::uint64_t size,
                              const std::string& name = "the snapshot");

}  // namespace sluice::dataplane
