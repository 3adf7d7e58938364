// Random expressions over random data: what Hyperscan finds, with our flags and through our
// compiler, is what PCRE2 finds, in packets and in streams that are cut anywhere. And the literal
// that `lint` takes for demanded is in all that matches.
//
// SLUICE_ROUNDS: more of them.
#define PCRE2_CODE_UNIT_WIDTH 8

#include <gtest/gtest.h>
#include <hs.h>
#include <pcre2.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "controlplane/patterns/database.h"
#include "controlplane/patterns/expression_shape.h"
#include "controlplane/patterns/pattern.h"
#include "tests/reference/random_source.h"

namespace sluice::patterns {
namespace {

using contract::PatternMode;
using reference::Random;

// ---- Random patterns and data ------------------------------------------------------------------

// Of what both understand. What is true at the end of the data only is left out of streams, whose
// end nobody tells.
class ExpressionWriter {
  public:
    ExpressionWriter(Random& random, PatternMode mode) : random_(random), mode_(mode) {}

    std::string write() {
        std::string text = alternatives(3);
        if (random_.one_in(6))
            text = "^" + text;
        if (mode_ == PatternMode::packet && random_.one_in(8))
            text += "$";
        return "re:/" + text + "/" + letters();
    }

  private:
    std::string letters() {
        std::string letters;
        for (const char letter : {'i', 'm', 's'})
            if (random_.one_in(4))
                letters += letter;
        return letters;
    }

    std::string alternatives(unsigned depth) {
        std::string text = sequence(depth);
        while (random_.one_in(6))
            text += "|" + sequence(depth);
        return text;
    }

    std::string sequence(unsigned depth) {
        std::string text;
        for (unsigned left = random_.between(1, 5); left > 0; --left)
            text += atom(depth) + repeat();
        return text;
    }

    std::string atom(unsigned depth) {
        static const std::vector<std::string> bytes = {"a", "b", "c",   "A",     "ab",  "abc",
                                                       "0", "-", "\\n", "\\x00", "\\.", "\\xe9"};
        static const std::vector<std::string> sets = {".",     "[ab]", "[^ab]", "\\d",   "\\w",
                                                      "[a-c]", "\\D",  "\\W",   "[^\\n]"};
        if (depth > 0 && random_.one_in(6))
            return (random_.one_in(2) ? "(" : "(?:") + alternatives(depth - 1) + ")";
        if (mode_ == PatternMode::packet && random_.one_in(20))
            return random_.one_in(2) ? "\\b" : "\\B";
        return random_.one_in(3) ? random_.pick(sets) : random_.pick(bytes);
    }

    std::string repeat() {
        static const std::vector<std::string> repeats = {"*",     "+",    "?", "{2}",
                                                         "{1,3}", "{2,}", "+?"};
        return random_.one_in(4) ? random_.pick(repeats) : "";
    }

    Random& random_;
    PatternMode mode_;
};

std::string draw_data(Random& random) {
    static constexpr std::string_view kBytes("aaabbbcccA0-\n\0.\xe9 xB", 20);
    std::string data;
    for (unsigned left = random.below(60); left > 0; --left)
        data += kBytes[random.below(kBytes.size())];
    return data;
}

std::string draw_literal(Random& random) {
    std::string bytes;
    while (bytes.empty())
        bytes = draw_data(random).substr(0, random.between(1, 4));
    return literal_text(bytes);
}

// ---- The two engines ---------------------------------------------------------------------------

struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(hs_database_t* database) const { hs_free_database(database); }
    void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};

class Oracle {
  public:
    Oracle(const std::string& canonical, bool ignore_case) {
        uint32_t options = ignore_case ? PCRE2_CASELESS : 0;
        std::string text;
        if (is_expression(canonical)) {
            const Expression expression = expression_of(canonical);
            text = expression.text;
            for (const char letter : expression.letters)
                options |= letter == 'i'   ? PCRE2_CASELESS
                           : letter == 'm' ? PCRE2_MULTILINE
                                           : PCRE2_DOTALL;
        } else {
            text = literal_bytes(canonical);
            options |= PCRE2_LITERAL;
        }
        const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
            pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
        pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
        int error = 0;
        size_t place = 0;
        code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options,
                                  &error, &place, context.get()));
        if (code_)
            data_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    }

    bool is_good() const { return code_ != nullptr; }

    // -1: it has looked for too long.
    int matches(const std::string& data) const {
        const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(data.data()),
                                       data.size(), 0, 0, data_.get(), nullptr);
        if (result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT)
            return -1;
        EXPECT_TRUE(result >= 0 || result == PCRE2_ERROR_NOMATCH) << result;
        return result >= 0 ? 1 : 0;
    }

  private:
    std::unique_ptr<pcre2_code, Free> code_;
    std::unique_ptr<pcre2_match_data, Free> data_;
};

class Engine {
  public:
    explicit Engine(const Database& database) {
        hs_database_t* loaded = nullptr;
        EXPECT_EQ(hs_deserialize_database(reinterpret_cast<const char*>(database.bytes.data()),
                                          database.bytes.size(), &loaded),
                  HS_SUCCESS);
        database_.reset(loaded);
        hs_scratch_t* scratch = nullptr;
        EXPECT_EQ(hs_alloc_scratch(loaded, &scratch), HS_SUCCESS);
        scratch_.reset(scratch);
    }

    std::multiset<unsigned> in_packet(const std::string& data) const {
        std::multiset<unsigned> found;
        EXPECT_EQ(hs_scan(database_.get(), data.data(), static_cast<unsigned>(data.size()), 0,
                          scratch_.get(), note, &found),
                  HS_SUCCESS);
        return found;
    }

    std::multiset<unsigned> in_stream(const std::string& data, Random& random) const {
        std::multiset<unsigned> found;
        hs_stream_t* stream = nullptr;
        EXPECT_EQ(hs_open_stream(database_.get(), 0, &stream), HS_SUCCESS);
        const unsigned longest = random.pick<unsigned>({1, 3, 10, 60});
        for (std::size_t at = 0; at < data.size();) {
            const std::size_t piece =
                std::min<std::size_t>(random.below(longest + 1), data.size() - at);
            EXPECT_EQ(hs_scan_stream(stream, data.data() + at, static_cast<unsigned>(piece), 0,
                                     scratch_.get(), note, &found),
                      HS_SUCCESS);
            at += piece;
        }
        EXPECT_EQ(hs_close_stream(stream, nullptr, nullptr, nullptr), HS_SUCCESS);
        return found;
    }

  private:
    static int note(unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
        static_cast<std::multiset<unsigned>*>(context)->insert(id);
        return 0;
    }

    std::unique_ptr<hs_database_t, Free> database_;
    std::unique_ptr<hs_scratch_t, Free> scratch_;
};

// ---- Side by side ------------------------------------------------------------------------------

bool contains(std::string data, std::string part, bool ignore_case) {
    const auto lower = [](std::string& text) {
        for (char& c : text)
            if (c >= 'A' && c <= 'Z')
                c = static_cast<char>(c - 'A' + 'a');
    };
    if (ignore_case) {
        lower(data);
        lower(part);
    }
    return data.find(part) != std::string::npos;
}

struct Tally {
    unsigned patterns = 0;
    unsigned refused = 0;
    unsigned matches = 0;
    unsigned answers = 0;
};

// Patterns that Hyperscan takes, each with its oracle.
void draw_patterns(Random& random, DatabaseOrder& order, std::vector<Oracle>& oracles,
                   Tally& tally) {
    order.ignore_case = random.one_in(4);
    const bool literals = random.one_in(4);
    for (unsigned left = random.between(1, 12); left > 0; --left) {
        const std::string pattern = literals || random.one_in(5)
                                        ? draw_literal(random)
                                        : ExpressionWriter(random, order.mode).write();
        DatabaseOrder alone = order;
        alone.patterns = {pattern};
        Oracle oracle(pattern, order.ignore_case);
        ++tally.patterns;
        if (!oracle.is_good() || !make_database(alone)) {
            ++tally.refused;
            continue;
        }
        order.patterns.push_back(pattern);
        oracles.push_back(std::move(oracle));
    }
}

void compare(const DatabaseOrder& order, const std::vector<Oracle>& oracles, const Engine& engine,
             Random& random, Tally& tally) {
    const std::string data = draw_data(random);
    const std::multiset<unsigned> found =
        order.mode == PatternMode::packet ? engine.in_packet(data) : engine.in_stream(data, random);
    for (unsigned i = 0; i < oracles.size(); ++i) {
        const std::string& pattern = order.patterns[i];
        const int expected = oracles[i].matches(data);
        if (expected < 0)
            continue;
        ++tally.answers;
        tally.matches += static_cast<unsigned>(expected);
        ASSERT_EQ(found.count(i), static_cast<std::size_t>(expected))
            << pattern << (order.ignore_case ? " ignoring case" : "") << " in "
            << literal_text(data);
        if (expected == 1 && is_expression(pattern)) {
            const Expression expression = expression_of(pattern);
            const std::string literal = shape_of(expression.text).certain;
            ASSERT_TRUE(contains(
                data, literal,
                order.ignore_case || expression.letters.find('i') != std::string_view::npos))
                << pattern << " without " << literal_text(literal) << " in " << literal_text(data);
        }
    }
}

void run(PatternMode mode, std::uint64_t seed) {
    const char* wanted = std::getenv("SLUICE_ROUNDS");
    const unsigned long rounds = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 150;
    Random random(seed);
    Tally tally;
    for (unsigned long round = 0; round < rounds; ++round) {
        DatabaseOrder order{.mode = mode};
        std::vector<Oracle> oracles;
        draw_patterns(random, order, oracles, tally);
        if (order.patterns.empty())
            continue;
        const auto database = make_database(order);
        ASSERT_TRUE(database) << database.error().message;
        const Engine engine(**database);
        for (int i = 0; i < 100 && !testing::Test::HasFatalFailure(); ++i)
            compare(order, oracles, engine, random, tally);
        if (testing::Test::HasFatalFailure())
            return;
    }
    std::printf("%u patterns, %u refused; %u answers, %u of them matches\n", tally.patterns,
                tally.refused, tally.answers, tally.matches);
    EXPECT_LT(tally.refused, tally.patterns / 2);
    EXPECT_GT(tally.matches, tally.answers / 20);
    EXPECT_LT(tally.matches, tally.answers / 20 * 19);
}

TEST(PatternOracle, Packets) {
    run(PatternMode::packet, 1);
}

TEST(PatternOracle, StreamsCutAnywhere) {
    run(PatternMode::stream, 2);
}

}  // namespace
}  // namespace sluice::patterns
