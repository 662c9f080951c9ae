#!/usr/bin/env bash
# What the compiler does not hold the sources to: who may include whom, what a pure file may not include, where a
# co_await may not stand (docs/development.md), and that a type's name is its own. Usage: house_test.sh SOURCE_DIR
# Then the same checks over tests/fixtures/house/cases.txt: each breach there must be found, and nothing else.
set -euo pipefail

source_dir=$1
cases=$source_dir/tests/fixtures/house/cases.txt
stages='intercept attribute rules decide act report replay'

# The folders of proxy/ that a file of a folder may include from; those not listed may from everywhere.
declare -A may_include=([model]=model [gateway]="model gateway $stages")
for stage in $stages; do may_include[$stage]="model $stage"; done
may_include[decide]+=' rules'
may_include[replay]+=' rules'
may_include[attribute]+=' bpf'

# FILE:LINE:INCLUDED of every #include of the files named on stdin.
includes() { xargs -r grep -HnoP '^\s*#\s*include\s*[<"]\K[^>"]+' || true; }

sources() { find proxy -name '*.cpp' -o -name '*.hpp' | sort; }

check_folders() {
  local file line included folder target allowed
  while IFS=: read -r file line included; do
    folder=${file#proxy/}
    [[ $folder == */* ]] && folder=${folder%%/*} || folder=.
    target=${included%%/*}
    [[ $included == */* && -d $source_dir/proxy/$target ]] || continue
    allowed=${may_include[$folder]-$target}
    [[ " $allowed " == *" $target "* ]] || echo "$file:$line: $folder/ may not include $included"
  done < <(sources | includes)
}

# The patterns of CORE_SOURCES, as CMakeLists.txt has them.
core_patterns() {
  sed -n '/^file(GLOB CORE_SOURCES/,/)/p' "$source_dir/CMakeLists.txt" | grep -o 'proxy/[^ )]*'
}

# The pure files and every header of ours that they come to include.
core_files() {
  local -A included_by=() seen=()
  local queue=() file included
  while IFS=: read -r file _ included; do included_by[$file]+=" proxy/$included"; done < <(sources | includes)
  for file in $(core_patterns); do [[ -e $file ]] && queue+=("$file"); done  # the shell opens the patterns
  while ((${#queue[@]})); do
    file=${queue[-1]}
    unset 'queue[-1]'
    [[ -z ${seen[$file]-} && -e $file ]] || continue
    seen[$file]=1
    # shellcheck disable=SC2206  # a list of words
    queue+=(${included_by[$file]-})
  done
  ((${#seen[@]} == 0)) || printf '%s\n' "${!seen[@]}" | sort
}

check_core() {
  local file line included
  while IFS=: read -r file line included; do
    case $included in
      boost/asio* | boost/beast* | netlink/* | linux/netlink.h | linux/rtnetlink.h | linux/*_diag.h | linux/netfilter/* | \
        spdlog/* | fstream | unistd.h)
        echo "$file:$line: a pure file may not come to include <$included>"
        ;;
    esac
  done < <(core_files | includes)
}

# A whole file at once, because a condition may go over lines. Comments keep their lines and lose their words.
check_co_await() {
  sources | xargs -r perl -0777 -ne '
    s{//[^\n]*}{}g;
    my $text = $_;
    my $at = sub { 1 + (substr($text, 0, $_[0]) =~ tr/\n//) };
    while ($text =~ /\b(if|while|switch)\s*(?:constexpr\s*)?(\((?:[^()]++|(?2))*+\))/g) {
      my ($word, $condition, $start) = ($1, $2, $-[0]);
      print "$ARGV:", $at->($start), ": co_await within the condition of $word\n" if $condition =~ /\bco_await\b/;
    }
    while ($text =~ /(&&|\|\|)[\s!(]*co_await\b/g) {
      print "$ARGV:", $at->($-[0]), ": co_await behind $1\n";
    }'
}

# Two types of one name with external linkage are one to the linker, which takes the destructor of either.
check_types() {
  sources | xargs -r perl -0777 -ne '
    s{//(?! namespace$)[^\n]*}{}gm;
    s{^namespace \{\n.*?^\}  // namespace$}{"\n" x ($& =~ tr/\n//)}gmse;
    my ($space) = /^namespace (\w[\w:]*) \{/m;
    while (/^(?:template <[^>]*>\s*)?(?:class|struct|union|enum class|enum)\s+(\w+)(?:\s+final)?\s*(?::(?!:)[^;{]*)?\{/gm) {
      push @{$places{($space // "") . "::$1"}}, "$ARGV:" . (1 + (substr($_, 0, $-[0]) =~ tr/\n//));
    }
    END {
      for my $name (sort keys %places) {
        next if @{$places{$name}} < 2;
        print "$_: $name is defined in ", scalar @{$places{$name}}, " places\n" for @{$places{$name}};
      }
    }'
}

check() { (cd "$1" && check_folders && check_core && check_co_await && check_types); }

failed=0
found=$(check "$source_dir")
if [[ -n $found ]]; then
  printf 'FAIL: the sources\n%s\n' "$found"
  failed=1
fi
pure=$(cd "$source_dir" && core_files | grep -c '\.cpp$') || true
((pure >= 20)) || { echo "FAIL: CMakeLists.txt names $pure pure files: not understood"; failed=1; }

# Each case is a file of its own in one tree, so that all are checked at once: x.cpp is x-7.cpp in line 7.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
declare -A expected=()
number=0 count=0
while IFS= read -r line; do
  number=$((number + 1))
  [[ -n $line && $line != '#'* ]] || continue
  count=$((count + 1))
  place=${line%% | *} rest=${line#* | }
  place=${place%.*}-$number.${place##*.}
  mkdir -p "$tree/${place%/*}"
  printf '%b\n' "${rest% => *}" >"$tree/$place"
  expected[$place]=${rest##* => }
done <"$cases"
found=$(check "$tree")
for place in "${!expected[@]}"; do
  outcome=fine
  [[ $'\n'$found != *$'\n'"$place:"* ]] || outcome=breach
  [[ $outcome == "${expected[$place]}" ]] || { echo "FAIL: ${expected[$place]} expected of $place in $cases, is $outcome"; failed=1; }
done
((count > 0)) || { echo "FAIL: no cases in $cases"; failed=1; }

exit $failed
