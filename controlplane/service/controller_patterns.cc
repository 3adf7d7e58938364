// Patterns are compiled before the script that wants them is carried out: it is run, as far as it
// goes without their databases, and again when they are there.
#include <algorithm>
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
    for (std::size_t i = 0; i < made->size(); ++i)
        compiled_.insert_or_assign(compiling_->contents[i], std::move((*made)[i]));
    compiling_->done = true;
    next_change();
}

// The data plane may owe an answer to something else; then this is for later.
void Controller::go_on_with_compiled() {
    if (!compiling_ || !compiling_->done || asked() || rolling_back_)
        return;
    const Compiling work = std::move(*std::exchange(compiling_, std::nullopt));
    if (const std::optional<Error> reason = cannot_change())
        work.reply(refused(*reason));
    else
        change(work.request, work.reply, work.states);
}

// Orders like `panic`, and what only asks, need not wait for what is compiled.
bool Controller::changes_rules(const Request& request) {
    return request.apply ||
           !std::all_of(request.operations.begin(), request.operations.end(),
                        [](const Operation& operation) {
                            return std::holds_alternative<SafetyOperation>(operation.what) ||
                                   std::holds_alternative<StateOperation>(operation.what) ||
                                   !changes_something(operation);
                        });
}

}  // namespace sluice::service
