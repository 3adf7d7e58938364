// A value or the reason why there is none. g++ 12 has no std::expected.
//
//     Result<Rule> rule = parse_rule(words);
//     if (!rule)
//         return rule.error();
//     use(*rule);
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "common/exit_status.h"

namespace sluice {

// What went wrong, as one sentence for an operator, and the exit status that a command ends with.
struct Error {
    ExitStatus status = ExitStatus::data;
    std::string message;
};

template <typename T, typename E = Error>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }

    // REQUIRES: there is a value.
    T& operator*() & { return *std::get_if<0>(&state_); }
    const T& operator*() const& { return *std::get_if<0>(&state_); }
    T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
    T* operator->() { return std::get_if<0>(&state_); }
    const T* operator->() const { return std::get_if<0>(&state_); }

    // REQUIRES: there is no value.
    const E& error() const { return *std::get_if<1>(&state_); }

  private:
    std::variant<T, E> state_;
};

// Success without a value.
struct Done {};

}  // namespace sluice
