#include "rules/canonical_text.hpp"

#include <algorithm>
#include <charconv>

#include "rules/functions.hpp"

namespace imdsgate::eql {
namespace {

class Writer {
 public:
  std::string take() { return std::move(text_); }
  void node(Node const &node) {
    std::visit([this](auto const &is) { write(is); }, node.is);
  }

 private:
  // With its length before it no text can be taken for two.
  void counted(std::string_view text) {
    text_ += std::to_string(text.size());
    text_ += ':';
    text_ += text;
  }
  void nodes(std::vector<NodePtr> const &list, bool in_order) {
    std::vector<std::string> texts;
    for (NodePtr const &one : list) texts.push_back(canonical_text(*one));
    if (!in_order) std::sort(texts.begin(), texts.end());
    text_ += '(';
    for (std::string const &text : texts) counted(text);
    text_ += ')';
  }
  template <class Enumerator>
  void enumerator(Enumerator value) {
    text_ += static_cast<char>('a' + static_cast<int>(value));
  }
  void pair(NodePtr const &left, NodePtr const &right) {
    counted(canonical_text(*left));
    counted(canonical_text(*right));
  }

  void write(Null const &) { text_ += '0'; }
  void write(bool is) { text_ += is ? 'T' : 'F'; }
  void write(Number const &is) {
    char buffer[64];
    auto const end = is.integral ? std::to_chars(buffer, buffer + sizeof buffer, is.integer)
                                 : std::to_chars(buffer, buffer + sizeof buffer, is.real);
    text_ += is.integral ? 'i' : 'r';
    text_.append(buffer, end.ptr);
  }
  void write(std::string const &is) {
    text_ += 's';
    counted(is);
  }
  void write(FieldName const &is) {  // `?` is about the field's being known, not about what the term asks
    text_ += 'f';
    counted(is.name);
  }
  void write(Not const &is) {
    text_ += '!';
    node(*is.operand);
  }
  void write(Negative const &is) {
    text_ += '-';
    node(*is.operand);
  }
  void write(Logical const &is) {
    text_ += 'L';
    enumerator(is.op);
    nodes(is.operands, true);
  }
  void write(Comparison const &is) {
    text_ += 'C';
    enumerator(is.op);
    pair(is.left, is.right);
  }
  void write(Predicate const &is) {
    text_ += is.insensitive ? 'p' : 'P';
    enumerator(is.op);
    counted(canonical_text(*is.left));
    nodes(is.right, false);
  }
  void write(Arithmetic const &is) {
    text_ += 'A';
    text_ += is.op;
    pair(is.left, is.right);
  }
  void write(Call const &is) {
    text_ += is.insensitive ? 'q' : 'Q';
    Function const *function = find_function(is.name);  // by whatever case it is called
    counted(function == nullptr ? is.name : function->name);
    nodes(is.arguments, true);
  }

  std::string text_;
};

}  // namespace

std::string canonical_text(Node const &node) {
  Writer writer;
  writer.node(node);
  return writer.take();
}

}  // namespace imdsgate::eql
