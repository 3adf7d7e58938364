#include "controlplane/history/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controlplane/history/file_format.h"
#include "tests/unit/history/fragile_folder.h"

namespace sluice::history {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

constexpr std::uint64_t kAll = UINT64_MAX;

Entry entry(std::uint64_t number) {
    return {.number = number,
            .generation = number + 10,
            .time_s = 1000,
            .written_s = 1001,
            .uid = 7,
            .user = "alice",
            .did = "add 100 allow ip from any to any",
            .difference = {1, 2, 3},
            .restores = 0};
}

std::string text_of(std::uint64_t number) {
    return "add " + std::to_string(number) + " allow ip from any to any\n" + std::string(300, '#') +
           "\n";
}

Write write_of(std::uint64_t number) {
    return {entry(number), text_of(number)};
}

std::string file_of(std::uint64_t number) {
    return header_of(entry(number), text_of(number)) + text_of(number);
}

std::string newest_text(Folder& folder, Strings& reports) {
    Store store(folder, [&](const std::string& sentence) { reports.push_back(sentence); });
    const auto newest = store.newest_below(kAll);
    return newest ? newest->text : "none";
}

TEST(FileFormat, WhatIsWrittenIsRead) {
    const std::string text = text_of(5);
    Entry strange = entry(5);
    strange.did = "add 1 count ip from any to any // a\nb\x1b";
    strange.restores = 3;
    const std::string header = header_of(strange, text);
    const Result<Header> read = read_header(header + text);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->size, header.size());
    EXPECT_EQ(wrong_with(*read, text), nullptr);
    strange.did = "add 1 count ip from any to any // a b ";
    EXPECT_EQ(read->entry, strange);
    for (std::size_t at = 0; at < header.size(); ++at)
        if (header[at] == '\n') {
            EXPECT_TRUE(at + 1 == header.size() || header[at + 1] == '#');
        }
}

TEST(FileFormat, EveryByteCounts) {
    const std::string file = file_of(5);
    const std::size_t size = header_of(entry(5), text_of(5)).size();
    for (std::size_t at = 0; at < file.size(); ++at) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        const Result<Header> header = read_header(damaged.substr(0, kMaximumHeader));
        if (at < size)
            EXPECT_FALSE(header) << at;
        else
            EXPECT_NE(wrong_with(*header, damaged.substr(size)), nullptr) << at;
    }
    for (std::size_t length = 0; length < size; ++length)
        EXPECT_FALSE(read_header(file.substr(0, length))) << length;
}

TEST(FileFormat, AnotherFormatIsCalledByItsNumber) {
    std::string file = file_of(5);
    file.replace(file.find(" 1\n"), 3, " 2\n");
    EXPECT_THAT(read_header(file).error().message, HasSubstr("format 2"));
    EXPECT_THAT(read_header("").error().message, HasSubstr("no ruleset"));
}

TEST(Store, TheNewestCounts) {
    FragileFolder folder;
    Strings reports;
    EXPECT_EQ(newest_text(folder, reports), "none");
    for (const std::uint64_t number : {1u, 2u, 3u})
        ASSERT_TRUE(carry_out(folder, write_of(number)));
    Store store(folder, [&](const std::string& sentence) { reports.push_back(sentence); });
    EXPECT_EQ(store.newest()->number, 3u);
    EXPECT_EQ(store.next_number(), 4u);
    EXPECT_EQ(store.newest_below(kAll)->text, text_of(3));
    EXPECT_EQ(store.newest_below(3)->text, text_of(2));
    EXPECT_FALSE(store.newest_below(1));
    EXPECT_EQ(store.read(2)->entry, entry(2));
    EXPECT_THAT(store.read(9).error().message, HasSubstr("no ruleset 9"));
    EXPECT_TRUE(reports.empty());
}

// Power goes at every step of a write, and of everything that may be on the disk then nothing is
// half a ruleset. When the write has ended it is there for good.
TEST(Store, PowerMayGoAtAnyMoment) {
    for (const bool replaces : {false, true}) {
        const std::uint64_t number = replaces ? 1 : 2;
        const std::string before = replaces ? "old\n" : text_of(1), after = text_of(number);
        for (unsigned cut = 1;; ++cut) {
            FragileFolder folder;
            folder.put("00000001.rules", header_of(entry(1), before) + before);
            folder.cut_at = cut;
            bool ended = false;
            try {
                ended = static_cast<bool>(carry_out(folder, write_of(number)));
            } catch (const PowerCut&) {
            }
            for (const auto& survivor : folder.survivors()) {
                Strings reports;
                const std::string text = newest_text(*survivor, reports);
                EXPECT_TRUE(text == after || (!ended && text == before)) << cut << ": " << text;
                EXPECT_TRUE(reports.empty()) << cut << ": " << reports.front();
                const auto names = survivor->names();
                for (const std::string& name : *names)
                    EXPECT_FALSE(name.ends_with(".new")) << name;
            }
            if (ended) {
                EXPECT_GE(cut, 6u);  // create, write twice, synchronize, rename, synchronize
                break;
            }
        }
    }
}

// The same with a process that ends there, and real files.
class StoreOnDisk : public testing::Test {
  protected:
    StoreOnDisk() {
        char name[] = "/tmp/sluice-history-XXXXXX";
        path_ = std::string(mkdtemp(name)) + "/a/history";
    }
    ~StoreOnDisk() override {
        std::filesystem::remove_all(std::filesystem::path(path_).parent_path().parent_path());
    }
    void put(const std::string& name, const std::string& bytes) {
        std::filesystem::create_directories(path_);
        std::ofstream(path_ + "/" + name, std::ios::binary) << bytes;
    }
    bool is_there(const std::string& name) { return std::filesystem::exists(path_ + "/" + name); }

    std::string path_;
    Strings reports_;
};

// Ends the process at a step.
class DyingFolder : public Folder {
  public:
    DyingFolder(Folder& folder, unsigned dies_at) : folder_(folder), left_(dies_at) {}
    const std::string& path() const override { return folder_.path(); }
    Result<Strings> names() override { return folder_.names(); }
    Result<std::string> read(const std::string& name, std::size_t maximum) override {
        return folder_.read(name, maximum);
    }
    Result<std::size_t> size(const std::string& name) override { return folder_.size(name); }
    Result<std::unique_ptr<File>> create(const std::string& name) override {
        step();
        Result<std::unique_ptr<File>> file = folder_.create(name);
        if (!file)
            return file.error();
        return std::unique_ptr<File>(std::make_unique<DyingFile>(*this, std::move(*file)));
    }
    Result<Done> rename(const std::string& from, const std::string& to) override {
        step();
        return folder_.rename(from, to);
    }
    Result<Done> remove(const std::string& name) override {
        step();
        return folder_.remove(name);
    }
    Result<Done> synchronize() override {
        step();
        return folder_.synchronize();
    }

  private:
    struct DyingFile : File {
        DyingFile(DyingFolder& owner, std::unique_ptr<File> inner)
            : folder(owner), file(std::move(inner)) {}
        Result<Done> write(std::string_view bytes) override {
            const Result<Done> half = file->write(bytes.substr(0, bytes.size() / 2));
            folder.step();
            return half ? file->write(bytes.substr(bytes.size() / 2)) : half;
        }
        Result<Done> synchronize() override {
            folder.step();
            return file->synchronize();
        }
        DyingFolder& folder;
        std::unique_ptr<File> file;
    };
    void step() {
        if (--left_ == 0)
            _exit(1);
    }

    Folder& folder_;
    unsigned left_;
};

TEST_F(StoreOnDisk, AProcessMayDieAtAnyMoment) {
    unsigned died = 0;
    for (unsigned at = 1; at < 20; ++at) {
        std::filesystem::remove_all(path_);
        const auto folder = folder_at(path_);
        ASSERT_TRUE(carry_out(*folder, write_of(1)));
        const pid_t child = fork();
        if (child == 0) {
            DyingFolder dying(*folder, at);
            Write write = write_of(2);
            write.superseded = {"00000001.rules"};
            _exit(carry_out(dying, write) ? 0 : 2);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        const std::string text = newest_text(*folder, reports_);
        EXPECT_TRUE(text == text_of(2) || (!ended && text == text_of(1))) << at << text;
        EXPECT_FALSE(is_there("00000002.rules.new"));
        died += ended ? 0 : 1;
    }
    EXPECT_EQ(died, 7u);  // the sixth and last step, and one for the file that goes
    EXPECT_TRUE(reports_.empty());
}

TEST_F(StoreOnDisk, WhatIsDamagedIsSetAside) {
    const auto folder = folder_at(path_);
    for (const std::uint64_t number : {1u, 2u, 3u, 4u, 5u})
        ASSERT_TRUE(carry_out(*folder, write_of(number)));
    std::filesystem::resize_file(path_ + "/00000005.rules", file_of(5).size() - 1);  // half
    std::string flipped = file_of(4);
    flipped.back() = 'x';
    put("00000004.rules", flipped);
    put("00000003.rules", "");
    put("00000006.rules.new", "half");
    put("00000007.rules", file_of(1));  // somebody copied one
    put("notes", "of somebody else");
    Store store(*folder, [&](const std::string& sentence) { reports_.push_back(sentence); });
    EXPECT_EQ(store.newest_below(kAll)->text, text_of(2));
    EXPECT_EQ(store.next_number(), 8u);
    for (const char* name :
         {"00000003.rules", "00000004.rules", "00000005.rules", "00000007.rules"}) {
        EXPECT_FALSE(is_there(name)) << name;
        EXPECT_TRUE(is_there(std::string(name) + ".bad")) << name;
    }
    EXPECT_FALSE(is_there("00000006.rules.new"));
    EXPECT_TRUE(is_there("notes"));
    EXPECT_THAT(reports_, testing::UnorderedElementsAre(
                              HasSubstr("00000003.rules is damaged: this is no ruleset"),
                              HasSubstr("00000004.rules is damaged: its checksum is wrong"),
                              HasSubstr("00000005.rules is damaged: it is shorter"),
                              HasSubstr("00000007.rules is damaged: it is number 1")));
    EXPECT_THAT(reports_.front(), HasSubstr(".bad now, and the one before it counts"));
}

TEST_F(StoreOnDisk, FilesAreForNobodyElse) {
    umask(0);
    const auto folder = folder_at(path_ + "/");
    ASSERT_TRUE(carry_out(*folder, write_of(1)));
    using std::filesystem::perms;
    EXPECT_EQ(std::filesystem::status(path_).permissions(), perms::owner_all);
    EXPECT_EQ(std::filesystem::status(path_ + "/00000001.rules").permissions(),
              perms::owner_read | perms::owner_write);
    umask(022);
}

TEST_F(StoreOnDisk, AFolderThatCannotBeIsAnError) {
    put("file", "");
    const auto folder = folder_at(path_ + "/file/history");
    const Result<Done> done = carry_out(*folder, write_of(1));
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("/file/history"));
    Store store(*folder, [&](const std::string& sentence) { reports_.push_back(sentence); });
    EXPECT_FALSE(store.newest());
    EXPECT_THAT(reports_, ElementsAre(HasSubstr("there is no history")));
}

// What is there stays when there is no room for more, at whatever step that shows.
TEST(Store, AFullDiskChangesNothing) {
    for (unsigned step = 1; step <= 5; ++step) {
        FragileFolder folder;
        ASSERT_TRUE(carry_out(folder, write_of(1)));
        folder.steps = 0;
        folder.fails_from = step;
        const Result<Done> done = carry_out(folder, write_of(2));
        ASSERT_FALSE(done);
        EXPECT_THAT(done.error().message, HasSubstr("No space left"));
        folder.fails_from = 0;
        Strings reports;
        EXPECT_EQ(newest_text(folder, reports), text_of(1)) << step;
        ASSERT_TRUE(carry_out(folder, write_of(2)));
        EXPECT_EQ(newest_text(folder, reports), text_of(2)) << step;
    }
}

TEST(Store, FiftyAreKept) {
    FragileFolder folder;
    Store store(folder, [](const std::string&) {});
    for (std::uint64_t number = 1; number <= 120; ++number) {
        const Write write = store.plan(entry(store.next_number()), text_of(number));
        ASSERT_TRUE(carry_out(folder, write));
        store.written(write);
        // Written again it takes no further place.
        const Write again = store.plan(entry(number), text_of(number));
        ASSERT_TRUE(carry_out(folder, again));
        store.written(again);
        EXPECT_EQ(store.entries().size(), std::min<std::size_t>(number, kMost));
        EXPECT_EQ(folder.names()->size(), store.entries().size());
    }
    EXPECT_EQ(store.entries().front().number, 71u);
    EXPECT_EQ(store.entries().back().number, 120u);
}

TEST(Store, LongOnesAreFewer) {
    FragileFolder folder;
    Store store(folder, [](const std::string&) {});
    const std::string huge(kMostBytes / 3, '#');
    for (std::uint64_t number = 1; number <= 4; ++number) {
        const Write write = store.plan(entry(number), huge);
        EXPECT_EQ(write.superseded.size(), number < 3 ? 0u : 1u) << number;
        store.written(write);
    }
    EXPECT_EQ(store.entries().size(), 2u);
}

}  // namespace
}  // namespace sluice::history
