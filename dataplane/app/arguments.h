// From the settings to the arguments of DPDK's environment layer.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "config/settings.h"

namespace sluice::dataplane {

// CPU numbers that this process may run on, ascending.
std::vector<unsigned> allowed_cpus();

// Whether workers sleep while nothing arrives.
bool workers_sleep(const config::DataPlane& settings, std::size_t cpus);

// The arguments, without the program's name. Lcore 0 is the main thread, which may run anywhere;
// lcores from 1 on are the workers.
Result<std::vector<std::string>> eal_arguments(const config::Settings& settings,
                                               const std::vector<unsigned>& cpus);

// An error when `needed_mb` of huge pages are asked for and not there.
Result<Done> check_huge_pages(unsigned needed_mb);

}  // namespace sluice::dataplane
