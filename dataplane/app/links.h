// The links of the Linux interfaces that ports read, as neighbours see them while the data plane
// does not run (`links_when_down`).
//
// A network card that DPDK has by itself is reset by the kernel when the process ends; an interface
// that is read by sockets stays as it is, and whoever goes by the link sends on into nothing.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "config/settings.h"

namespace sluice::dataplane {

enum class Link { down, up };

// Of all ports, or of as many as go; the error names the others. Nothing is done unless the
// settings say that links go down.
Result<Done> set_links(const config::Settings& settings, Link link);

}  // namespace sluice::dataplane
