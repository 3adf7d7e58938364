// The promise "verdict, rule, counters and log equal to the real ipfw", for what this version
// carries out. A case that uses more is counted as "not yet"; how many must pass is written down
// here, so that the number cannot shrink unnoticed. It may only grow.
//
// The cases come from cases.tar.xz, unpacked by the build. Real rulesets are other people's text
// and are not in the repository: they are read from $SLUICE_SHARED/conformance-real when that is
// there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string_view>

#include "tests/conformance/conformance_case.h"

namespace sluice::conformance {
namespace {

namespace fs = std::filesystem;

struct Expectation {
    const char* prefix;
    unsigned must_pass;
};

constexpr Expectation kPacked[] = {
    {"classic-stateless-", 30},
    {"modern-stateless-", 24},
    {"classic-stateful-", 20},
    {"modern-stateful-", 16},
};
constexpr Expectation kReal = {"", 33};

fs::path shared_folder() {
    const char* variable = std::getenv("SLUICE_SHARED");
    return variable != nullptr ? fs::path(variable) : fs::path(SLUICE_DEFAULT_SHARED);
}

// With several workers a table that is full of parents is not full at the same packet: each shard
// has its own parent of a key, and each takes a place; one without children waits for a state of
// its own shard. So these two, which are about dyn_max, are no cases for four workers.
constexpr std::string_view kFullOfParents[] = {"modern-stateful-006", "modern-stateful-011"};

Answers answers_of_four_workers(const Case& test) {
    if (std::find(std::begin(kFullOfParents), std::end(kFullOfParents), test.name) !=
        std::end(kFullOfParents)) {
        Answers answers;
        answers.not_yet = "dyn_max counts the parents of each shard";
        return answers;
    }
    return answers_of_replay(test, 4);
}

template <typename Engine>
void run(const fs::path& root, const Expectation& expectation, Engine engine, unsigned left_out) {
    unsigned passed = 0, failed = 0, not_yet = 0;
    for (const Case& test : find_cases(root, expectation.prefix)) {
        const Answers answers = engine(test);
        if (answers.not_yet) {
            ++not_yet;
            continue;
        }
        const auto complaints = disagreements(test, answers);
        for (const std::string& complaint : complaints)
            ADD_FAILURE() << complaint;
        ++(complaints.empty() ? passed : failed);
    }
    std::cout << root.filename().string() << "/" << expectation.prefix << "*: " << passed
              << " agree, " << failed << " do not, " << not_yet
              << " use what is not carried out yet\n";
    EXPECT_GE(passed + left_out, expectation.must_pass);
}

template <typename Engine>
void run_all(Engine engine, unsigned stateful_left_out = 0) {
    for (const Expectation& expectation : kPacked)
        run(SLUICE_CASES, expectation, engine,
            std::string_view(expectation.prefix) == "modern-stateful-" ? stateful_left_out : 0);
    const fs::path real = shared_folder() / "conformance-real";
    if (!fs::exists(real)) {
        std::cout << real.string() << " is not there: real rulesets are not compared\n";
        return;
    }
    run(real, kReal, engine, 0);
}

TEST(Conformance, EngineAnswersAsFreeBsd) {
    run_all([](const Case& test) { return answers_of_replay(test, 1); });
}

TEST(Conformance, FourWorkersAnswerAsOne) {
    run_all(answers_of_four_workers, std::size(kFullOfParents));
}

// The oracle of the differential test is held to the same answers.
TEST(Conformance, ReferenceEngineAnswersAsFreeBsd) {
    run_all([](const Case& test) { return answers_of_reference(test); });
}

}  // namespace
}  // namespace sluice::conformance
