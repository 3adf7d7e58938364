// Text like that of HTTP, for measurements: requests with their fields, answers, pages, scripts and
// pictures, of words that we have chosen. One seed makes one text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::patterns {

std::string http_corpus(std::size_t bytes, std::uint64_t seed = 1);

}  // namespace sluice::patterns
