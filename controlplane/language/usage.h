// The text of `ipfw -h`, made from the keyword tables.
#pragma once

#include <string>

namespace sluice::language {

std::string usage();

}  // namespace sluice::language
