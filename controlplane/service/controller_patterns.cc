// Patterns are compiled before the script that wants them is carried out: it is run, as far as it
// goes without their databases, and again when they are there.
#include <utility>

#include "controlplane/service/controller.h"

namespace sluice::service {

// Null: it has to be compiled first.
DatabaseMaker::Made Controller::database_for(const patterns::DatabaseOrder& order) const {
    if (database_maker_ == nullptr)
        return patterns::make_database(order);
    const auto made = compiled_.find(patterns::content_hash(order));
    return made != compiled_.end() ? made->second : patterns::find_database(order);
}

void Controller::compile_patterns(const Request& request, const Reply& reply,
                                  const StatesAnswer& states,
                                  std::vector<patterns::DatabaseOrder> orders) {
    compiling_ = {.request = request, .reply = reply, .states = states, .contents = {}};
    for (const patterns::DatabaseOrder& order : orders)
        compiling_->contents.push_back(patterns::content_hash(order));
    database_maker_->begin(std::move(orders));
}

void Controller::on_compiled() {
    auto made = database_maker_->take();
    if (!made || !compiling_)
        return;
    const Compiling work = std::move(*std::exchange(compiling_, std::nullopt));
    for (std::size_t i = 0; i < made->size(); ++i)
        compiled_.insert_or_assign(work.contents[i], std::move((*made)[i]));
    if (const std::optional<Error> reason = cannot_change())
        work.reply(refused(*reason));
    else
        change(work.request, work.reply, work.states);
    next_change();
}

}  // namespace sluice::service
