// Compiling an order with Hyperscan: what a child of sluice-patterns does.
//
// All flags are decided here. A pattern is reported once for each packet or stream (SINGLEMATCH),
// with no word on where it begins; its number is its place in the order. A set of literals alone
// goes to the compiler for literals; in one with expressions they are expressions too, escaped.
// Databases are for any processor that Hyperscan runs on.
//
// First all patterns are compiled as one set. Only if that fails without saying which is to blame
// is each of them compiled by itself.
#pragma once

#include "controlplane/patterns/order_format.h"

namespace sluice::patterns {

Answer compile(const DatabaseOrder& order);

}  // namespace sluice::patterns
