// Sentences about rules that are allowed but surely not meant: `reset udp …`, ports of ICMP,
// `xmit em0 in`. ipfw of 2003 refused most of them, today's accepts them silently; we accept them
// and say that they can never match, or what they do not do.
#pragma once

#include <string>
#include <vector>

#include "controlplane/language/model.h"

namespace sluice::language {

std::vector<std::string> warnings(const Rule& rule);

}  // namespace sluice::language
