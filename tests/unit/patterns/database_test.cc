// Compiling in a process of its own: what comes back does what the patterns say, and what goes
// wrong is told with its place.
#include "controlplane/patterns/database.h"

#include <gtest/gtest.h>
#include <hs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "common/privileges.h"
#include "common/system_calls.h"
#include "controlplane/patterns/compiler_process.h"
#include "controlplane/patterns/database_folder.h"
#include "controlplane/patterns/lint.h"
#include "controlplane/patterns/order_format.h"
#include "controlplane/patterns/pattern.h"

namespace sluice::patterns {
namespace {

using contract::PatternMode;

DatabaseOrder order_of(std::vector<std::string> typed, PatternMode mode = PatternMode::packet) {
    DatabaseOrder order{.mode = mode, .ignore_case = false, .patterns = {}};
    for (const std::string& text : typed) {
        const auto canonical = read_pattern(contract::PatternType::bytes, text);
        EXPECT_TRUE(canonical) << text;
        if (canonical)
            order.patterns.push_back(*canonical);
    }
    return order;
}

struct Free {
    void operator()(hs_database_t* database) const { hs_free_database(database); }
    void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};

// The patterns that are found, with one entry for each report.
std::multiset<unsigned> found(const Database& database, const std::vector<std::string>& pieces,
                              PatternMode mode = PatternMode::packet) {
    hs_database_t* raw = nullptr;
    EXPECT_EQ(hs_deserialize_database(reinterpret_cast<const char*>(database.bytes.data()),
                                      database.bytes.size(), &raw),
              HS_SUCCESS);
    const std::unique_ptr<hs_database_t, Free> loaded(raw);
    hs_scratch_t* room = nullptr;
    EXPECT_EQ(hs_alloc_scratch(loaded.get(), &room), HS_SUCCESS);
    const std::unique_ptr<hs_scratch_t, Free> scratch(room);
    std::multiset<unsigned> reports;
    const auto report = [](unsigned id, unsigned long long, unsigned long long, unsigned,
                           void* context) {
        static_cast<std::multiset<unsigned>*>(context)->insert(id);
        return 0;
    };
    if (mode == PatternMode::packet) {
        EXPECT_EQ(hs_scan(loaded.get(), pieces[0].data(), static_cast<unsigned>(pieces[0].size()),
                          0, scratch.get(), report, &reports),
                  HS_SUCCESS);
        return reports;
    }
    hs_stream_t* stream = nullptr;
    EXPECT_EQ(hs_open_stream(loaded.get(), 0, &stream), HS_SUCCESS);
    for (const std::string& piece : pieces)
        EXPECT_EQ(hs_scan_stream(stream, piece.data(), static_cast<unsigned>(piece.size()), 0,
                                 scratch.get(), report, &reports),
                  HS_SUCCESS);
    EXPECT_EQ(hs_close_stream(stream, scratch.get(), nullptr, nullptr), HS_SUCCESS);
    return reports;
}

using Ids = std::multiset<unsigned>;

TEST(PatternDatabase, LiteralsAreFoundOnce) {
    const auto database = make_database(order_of({"abc", R"("\x00+(")", "hex:ff"}));
    ASSERT_TRUE(database) << database.error().message;
    EXPECT_EQ(found(**database, {"abc abc"}), (Ids{0}));
    EXPECT_EQ(found(**database, {std::string("x\0+(\xff", 5)}), (Ids{1, 2}));
    EXPECT_EQ(found(**database, {"ABC"}), Ids{});
}

TEST(PatternDatabase, LettersAreFlags) {
    const auto database = make_database(
        order_of({"re:/a.c/", "re:/a.c/s", "re:/b{2}/i", "re:/^d/", "re:/^d/m", R"("+.\x00")"}));
    ASSERT_TRUE(database) << database.error().message;
    EXPECT_EQ(found(**database, {"a\nc"}), (Ids{1}));
    EXPECT_EQ(found(**database, {"abc"}), (Ids{0, 1}));
    EXPECT_EQ(found(**database, {"bB"}), (Ids{2}));
    EXPECT_EQ(found(**database, {"x\nd"}), (Ids{4}));
    EXPECT_EQ(found(**database, {std::string("+.\0", 3)}), (Ids{5}));
    EXPECT_EQ(found(**database, {std::string("+x\0", 3)}), Ids{});
}

TEST(PatternDatabase, CaseOfTheWholeObject) {
    for (const char* more : {"plain", "re:/x+y/"}) {
        DatabaseOrder order = order_of({"AbC", more});
        order.ignore_case = true;
        const auto database = make_database(order);
        ASSERT_TRUE(database) << database.error().message;
        EXPECT_EQ(found(**database, {"aBc"}), (Ids{0}));
    }
}

TEST(PatternDatabase, StreamsAreFoundAcrossPieces) {
    const auto database = make_database(order_of({"abc", "re:/x.*y/"}, PatternMode::stream));
    ASSERT_TRUE(database) << database.error().message;
    EXPECT_EQ(found(**database, {"a", "b", "cx", "-", "y abc"}, PatternMode::stream), (Ids{0, 1}));
}

struct Wrong {
    std::vector<std::string> typed;
    std::size_t pattern;
    std::size_t column;
    const char* part;
    PatternMode mode = PatternMode::packet;
};

TEST(PatternDatabase, ErrorsSayWhichAndWhere) {
    const Wrong all[] = {
        {{"abc", "re:/a(b/"}, 1, 5, "parenthesis"},
        {{"re:/a/", "re:/b/", "re:/abc[d/"}, 2, 7, "Hyperscan"},
        {{"abc", "re:/(?=a)b/"}, 1, DatabaseError::npos, "Zero-width"},
        {{"re:/a*/"}, 0, DatabaseError::npos, "matches where there is nothing"},
        {{"re:/(a)\\1/"}, 0, DatabaseError::npos, "Back-references"},
        {{"abc", "re:/a{32768}/"}, 1, DatabaseError::npos, "repeat"},
        {{"abc", "re:/a{32767}/", "re:/b/"}, 1, DatabaseError::npos, "limit"},
        {{"re:/a\\z/"}, 0, DatabaseError::npos, "end of a stream", PatternMode::stream},
        {{"re:/abc$/"}, 0, DatabaseError::npos, "end of a stream", PatternMode::stream},
        {{"re:/abc\\Z/"}, 0, DatabaseError::npos, "end of a stream", PatternMode::stream},
        {{}, DatabaseError::npos, DatabaseError::npos, "no patterns"},
    };
    for (const Wrong& wrong : all) {
        const auto database = make_database(order_of(wrong.typed, wrong.mode));
        ASSERT_FALSE(database) << wrong.part;
        EXPECT_EQ(database.error().pattern, wrong.pattern) << database.error().message;
        EXPECT_EQ(database.error().column, wrong.column) << database.error().message;
        EXPECT_NE(database.error().message.find(wrong.part), std::string::npos)
            << database.error().message;
    }
    EXPECT_TRUE(make_database(order_of({"re:/a\\z/"})));
}

TEST(PatternDatabase, ContentIsAllThatItIsMadeOf) {
    std::set<std::uint64_t> hashes;
    DatabaseOrder order = order_of({"a", "b"});
    hashes.insert(content_hash(order));
    order.mode = PatternMode::stream;
    hashes.insert(content_hash(order));
    order.ignore_case = true;
    hashes.insert(content_hash(order));
    hashes.insert(content_hash(order_of({"b", "a"})));
    hashes.insert(content_hash(order_of({"ab"})));
    hashes.insert(content_hash(order_of({"a"})));
    EXPECT_EQ(hashes.size(), 6u);
    EXPECT_EQ(content_hash(order_of({"a"})), content_hash(order_of({"hex:61"})));
}

// The first of the vectors that come with SipHash, and one of each further kind of length.
TEST(PatternDatabase, HashIsSipHash) {
    std::string bytes;
    for (char c = 0; c < 15; ++c)
        bytes += c;
    EXPECT_EQ(hash_of(bytes), 0xa129ca6149be45e5u);
    EXPECT_EQ(hash_of(""), 0x726fdb47dd0e0e31u);
}

TEST(PatternDatabase, WhoHasOneSharesIt) {
    const auto one = make_database(order_of({"shared"}));
    const auto other = make_database(order_of({"shared"}));
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->get(), other->get());
    EXPECT_EQ((*one)->content, content_hash(order_of({"shared"})));
}

TEST(PatternDatabase, ThreadsMayAskAtOnce) {
    std::vector<std::thread> threads;
    std::array<bool, 4> good = {};
    for (std::size_t i = 0; i < good.size(); ++i)
        threads.emplace_back([&good, i] {
            const auto database = make_database(order_of({"thread" + std::to_string(i)}));
            good[i] = database && found(**database, {"thread" + std::to_string(i)}) == Ids{0};
        });
    for (std::thread& thread : threads)
        thread.join();
    for (const bool each : good)
        EXPECT_TRUE(each);
}

// ---- Limits ------------------------------------------------------------------------------------

std::string costly_order() {
    std::vector<std::string> typed;
    for (int i = 0; i < 2000; ++i)
        typed.push_back("re:/sig" + std::to_string(i) + "[0-9a-f]{4,8}x/");
    return write_order(order_of(typed));
}

TEST(PatternLimits, TimeEndsTheChildAlone) {
    const auto answer = ask_compiler(costly_order(), {.cpu_s = 1});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("more than 1 seconds of processor time"),
              std::string::npos)
        << answer.error().message;
    EXPECT_TRUE(make_database(order_of({"after-the-limit"})));
}

TEST(PatternLimits, SoDoesTheClock) {
    const auto answer = ask_compiler(costly_order(), {.time_s = 1});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("more than 1 seconds and was ended"), std::string::npos)
        << answer.error().message;
    EXPECT_TRUE(make_database(order_of({"after-the-clock"})));
}

TEST(PatternLimits, MemoryIsBounded) {
    if (!can_restrict_system_calls())
        GTEST_SKIP() << "sanitizers map more than any limit";
    const auto bytes = ask_compiler(costly_order(), {.memory = std::uint64_t{48} << 20});
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto answer = read_answer(*bytes);
    ASSERT_TRUE(answer && std::holds_alternative<DatabaseError>(*answer));
    EXPECT_NE(std::get<DatabaseError>(*answer).message.find("memory"), std::string::npos)
        << std::get<DatabaseError>(*answer).message;
    EXPECT_TRUE(make_database(order_of({"after-the-memory"})));
}

TEST(PatternLimits, WhatIsNoOrderIsRefused) {
    EXPECT_FALSE(ask_compiler("no order"));
    EXPECT_TRUE(make_database(order_of({"after-that"})));
}

// The control plane has given up all system calls but some when it asks: these are enough.
TEST(PatternLimits, AskingTakesFewSystemCalls) {
    if (!can_restrict_system_calls())
        GTEST_SKIP() << "this build has no system call filter";
    char name[] = "/tmp/sluice-patterns-XXXXXX";
    const std::string folder = mkdtemp(name);
    const std::string kept = folder + "/kept";
    ASSERT_TRUE(start_compiler());
    const pid_t child = fork();
    if (child == 0) {
        static constexpr int kCalls[] = {
            SYS_memfd_create,
            SYS_sendmsg,
            SYS_recvfrom,
            SYS_pread64,
            SYS_openat,
            SYS_close,
            SYS_fstat,
            SYS_fcntl,
            SYS_newfstatat,
            SYS_getdents64,
            SYS_unlinkat,
            SYS_renameat,
#if defined(__x86_64__)
            SYS_mkdir,
#else
            SYS_mkdirat,
#endif
        };
        set_database_folder(kept);
        if (!forbid_new_privileges() ||
            !restrict_system_calls(kCalls, Otherwise::end, "patterns_test"))
            _exit(2);
        const DatabaseOrder order = order_of({"confined"});
        const bool made = static_cast<bool>(make_database(order));
        const bool measured = made && static_cast<bool>(measure_cost(order));
        _exit(made && measured && read_database(kept, content_hash(order)) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    std::filesystem::remove_all(folder);
}

// ---- What comes back ---------------------------------------------------------------------------

TEST(PatternFormat, AnswersAreNotBelieved) {
    const std::string error =
        write_answer(DatabaseError{.pattern = 3, .message = "a sentence", .column = 5});
    const auto again = read_answer(error);
    ASSERT_TRUE(again && std::holds_alternative<DatabaseError>(*again));
    EXPECT_EQ(std::get<DatabaseError>(*again).pattern, 3u);
    EXPECT_EQ(std::get<DatabaseError>(*again).column, 5u);
    EXPECT_EQ(std::get<DatabaseError>(*again).message, "a sentence");
    for (std::size_t length = 0; length < error.size(); ++length)
        EXPECT_FALSE(read_answer(error.substr(0, length))) << length;
    EXPECT_FALSE(read_answer(error + "x"));
    std::string longer = error;
    longer[4 + 8 + 8 + 3] = '\x7f';  // of the length of the sentence
    EXPECT_FALSE(read_answer(longer));
    EXPECT_FALSE(read_answer(write_answer(std::vector<std::byte>{}))) << "an empty database";
}

TEST(PatternFormat, OrdersComeBackWhole) {
    const DatabaseOrder order{
        .mode = PatternMode::stream, .ignore_case = true, .patterns = {"\"a\"", "", "re:/b/"}};
    const std::string bytes = write_order(order);
    const auto again = read_order(bytes);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->patterns, order.patterns);
    EXPECT_EQ(again->mode, order.mode);
    EXPECT_TRUE(again->ignore_case);
    for (std::size_t length = 0; length < bytes.size(); ++length)
        EXPECT_FALSE(read_order(bytes.substr(0, length))) << length;
    EXPECT_FALSE(read_order(bytes + "x"));
}

// ---- Files -------------------------------------------------------------------------------------

class PatternFolder : public testing::Test {
  public:
    PatternFolder() {
        char name[] = "/tmp/sluice-patterns-XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~PatternFolder() override {
        set_database_folder("");
        std::filesystem::remove_all(folder_);
    }

    std::string folder_;
};

TEST_F(PatternFolder, FilesComeBack) {
    const Database database{.content = 42, .bytes = std::vector<std::byte>(1000, std::byte{7})};
    EXPECT_FALSE(read_database(folder_, 42));
    keep_database(folder_ + "/below", database);
    const auto kept = read_database(folder_ + "/below", 42);
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->bytes, database.bytes);
    EXPECT_FALSE(read_database(folder_ + "/below", 43));
    EXPECT_EQ(std::filesystem::status(folder_ + "/below/000000000000002a.db").permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(PatternFolder, WhatDoesNotFitIsNone) {
    const Database database{.content = 42, .bytes = std::vector<std::byte>(1000, std::byte{7})};
    const std::string path = folder_ + "/000000000000002a.db";
    const auto again = [&] {
        std::filesystem::remove(path);
        keep_database(folder_, database);
        ASSERT_TRUE(read_database(folder_, 42));
    };
    for (const std::streamoff at : {0, 8, 16, 24, 32, 1031}) {
        again();
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(at);
        file.put('\x55');
        file.close();
        EXPECT_FALSE(read_database(folder_, 42)) << at;
    }
    again();
    std::filesystem::resize_file(path, 500);
    EXPECT_FALSE(read_database(folder_, 42));
    again();
    chmod(path.c_str(), 0622);
    EXPECT_FALSE(read_database(folder_, 42));
    again();
    std::filesystem::rename(path, folder_ + "/000000000000002b.db");
    EXPECT_FALSE(read_database(folder_, 43));
    std::filesystem::create_symlink(folder_ + "/000000000000002b.db", path);
    EXPECT_FALSE(read_database(folder_, 42));
}

TEST_F(PatternFolder, ThereAreNotTooMany) {
    for (std::uint64_t content = 0; content < kKeptDatabases + 10; ++content)
        keep_database(folder_, {.content = content, .bytes = std::vector<std::byte>(1)});
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_))
        ++files;
    EXPECT_EQ(files, kKeptDatabases);
    EXPECT_TRUE(read_database(folder_, kKeptDatabases + 9));
}

TEST_F(PatternFolder, NothingIsCompiledTwice) {
    set_database_folder(folder_);
    const DatabaseOrder order = order_of({"kept-in-a-file"});
    const std::uint64_t content = content_hash(order);
    ASSERT_TRUE(make_database(order));
    ASSERT_TRUE(read_database(folder_, content));
    // Another one in its place is what comes back.
    const auto other = make_database(order_of({"another"}));
    ASSERT_TRUE(other);
    keep_database(folder_, {.content = content, .bytes = (*other)->bytes});
    {
        const auto again = make_database(order);
        ASSERT_TRUE(again);
        EXPECT_EQ((*again)->bytes, (*other)->bytes);
    }
    // Broken: it is made anew, now that nobody has it any more.
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
        std::filesystem::resize_file(entry.path(), 50);
    const auto anew = make_database(order);
    ASSERT_TRUE(anew);
    EXPECT_NE((*anew)->bytes, (*other)->bytes);
    EXPECT_TRUE(read_database(folder_, content));
}

}  // namespace
}  // namespace sluice::patterns
