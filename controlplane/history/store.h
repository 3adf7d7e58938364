// The last rulesets that were accepted, a file each (file_format.h), and the newest of them is what
// the appliance boots with.
//
// Writing. Under another name, synchronized, renamed, and the folder synchronized: after a crash at
// any moment there is the file as it was before, or as it is now. Files beyond kMost, or beyond
// kMostBytes, go after that.
// Damage. A file that is cut or changed is renamed to `.bad`, a sentence says so, and the one
// before it counts.
// Threads. `carry_out` may run in any; everything else belongs to one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/history/entry.h"
#include "controlplane/history/folder.h"

namespace sluice::history {

inline constexpr std::size_t kMost = 50;
inline constexpr std::size_t kMostBytes = std::size_t{256} << 20;

struct Stored {
    Entry entry;
    std::string text;
};

// A file that is to be written, and those that go when it is there.
struct Write {
    Entry entry;
    std::string text;
    std::vector<std::string> superseded = {};
};

Result<Done> carry_out(Folder& folder, const Write& write);

class Store {
  public:
    using Report = std::function<void(const std::string& sentence)>;

    // What is in the folder. Files that a crash left half written are removed.
    Store(Folder& folder, Report report);

    // In the order of their numbers.
    std::vector<Entry> entries() const;
    // None: there are none.
    std::optional<Entry> newest() const;
    const Entry* find(std::uint64_t number) const;
    // Of the next entry.
    std::uint64_t next_number() const { return last_number_ + 1; }

    Result<Stored> read(std::uint64_t number);
    // The newest with a lower number that is not damaged. None: there is none.
    std::optional<Stored> newest_below(std::uint64_t number);

    Write plan(Entry entry, std::string text) const;
    // It has been carried out.
    void written(const Write& write);

  private:
    struct Known {
        Entry entry;
        std::size_t bytes = 0;
    };
    void look_at(const std::string& name);
    void set_aside(const std::string& name, const std::string& why);

    Folder& folder_;
    Report report_;
    std::map<std::uint64_t, Known> known_;
    std::uint64_t last_number_ = 0;
};

}  // namespace sluice::history
