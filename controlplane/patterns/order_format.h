// What goes to sluice-patterns and comes back, as bytes.
//
// The answer comes from a process that has read what users typed, so that nothing it says about
// lengths is believed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "controlplane/patterns/database.h"

namespace sluice::patterns {

std::string write_order(const DatabaseOrder& order);
std::optional<DatabaseOrder> read_order(std::string_view bytes);

using Answer = std::variant<std::vector<std::byte>, DatabaseError>;

// What is measured: the mode, and the database.
std::string write_subject(contract::PatternMode mode, const std::vector<std::byte>& database);
struct Subject {
    contract::PatternMode mode = contract::PatternMode::packet;
    std::string_view database;  // in the bytes that were read
};
std::optional<Subject> read_subject(std::string_view bytes);

// A database, or what a measurement has come to; or why there is none.
std::string write_answer(const Answer& answer);
std::optional<Answer> read_answer(std::string_view bytes);

// SipHash-2-4 with a key that everybody knows: it scatters well, and keeps no secret.
std::uint64_t hash_of(std::string_view bytes);

}  // namespace sluice::patterns
