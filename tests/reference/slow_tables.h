// Tables as a list of what was added, searched from the front. Values are numbers, as they were
// before they had types.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/language/table_command.h"

namespace sluice::reference {

struct SlowEntry {
    std::vector<std::uint8_t> bytes;  // addr, mac
    unsigned length = 0;              // of the prefix, in bits
    std::string text;                 // iface, number, flow: as it was given
    std::uint32_t value = 0;
};

struct SlowTable {
    language::TableType type = language::TableType::addr;
    std::vector<SlowEntry> entries;
};

class SlowTables {
  public:
    // create, add, delete, flush, destroy and swap. What cannot be done is left.
    void carry_out(const language::TableCommand& command);

    // The value of the longest prefix that covers the address.
    std::optional<std::uint32_t> find_prefix(const std::string& table, language::TableType type,
                                             const std::vector<std::uint8_t>& address) const;
    std::optional<std::uint32_t> find_text(const std::string& table, language::TableType type,
                                           const std::string& text) const;

  private:
    std::map<std::string, SlowTable> tables_;
};

}  // namespace sluice::reference
