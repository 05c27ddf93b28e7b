# shellcheck shell=bash disable=SC2154
#
# What ./pants and ./strata have in common: an environment in the cache folder that is
# made on the first start from a lock, whole or not at all. To be sourced; `root` is set.

locks="$root/3rdparty"

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 2
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

# python_candidates VERSION: what may be that Python, one path a line, best first.
# pyenv's shims are passed over: they answer 127 for a version that is not selected, and
# give away where pyenv is when PYENV_ROOT and HOME do not.
python_candidates() {
  local folder path
  local roots=("${PYENV_ROOT:-${HOME:-}/.pyenv}")
  while IFS= read -r -d : folder; do
    case $folder in
      */shims) roots+=("${folder%/shims}") ;;
      *) if [[ -x $folder/python$1 ]]; then printf '%s\n' "$folder/python$1"; fi ;;
    esac
  done <<<"$PATH:"
  for folder in "${roots[@]}"; do
    for path in "$folder/versions/$1"*/bin/"python$1"; do
      if [[ -x $path ]]; then printf '%s\n' "$path"; fi
    done
  done
}

# find_python VERSION: a Python of that version that is whole, if there is one. Debian's
# comes in parts, and Pants' pip needs distutils as long as the version has it.
find_python() {
  local path modules='ctypes, sqlite3, ssl'
  if [[ $1 == 3.* ]]; then modules+=', distutils.util'; fi
  while IFS= read -r path; do
    if "$path" -c "import $modules, sys
sys.exit('$1' not in ('3', '%d.%d' % sys.version_info[:2]))" >/dev/null 2>&1; then
      printf '%s\n' "$path"
      return
    fi
  done < <(python_candidates "$1")
  return 1
}

index_failed() {
  fail "the package index did not give what 3rdparty/*.lock names ($(grep . "$log" | tail -n 1 | cut -c 1-160)); check the network, or the index that pip and uv are set to; all of it: $log"
}

# install_uv FOLDER: the locked uv, through whatever pip this machine has.
install_uv() {
  local python pip=(-m pip)
  python=$(find_python 3 || find_python 3.11 || find_python 3.9) ||
    fail 'there is no Python 3 here; install one (Debian, Ubuntu: apt-get install python3) and start again'
  if "$python" -m pip --version >/dev/null 2>&1; then
    :
  elif "$python" -m venv "$1/seed" >/dev/null 2>&1; then
    python="$1/seed/bin/python"
  elif (cd "$1" && apt-get download python3-pip-whl && dpkg -x ./*.deb seed) >/dev/null 2>&1; then
    # Debian's bare Python has neither pip nor venv; its archive has the wheel, signed.
    pip=("$(printf '%s\n' "$1"/seed/usr/share/python-wheels/pip-*.whl)/pip")
  else
    fail "$python has neither pip nor venv; install them (Debian, Ubuntu: apt-get install python3-venv) and start again"
  fi
  "$python" "${pip[@]}" install --quiet --disable-pip-version-check --only-binary :all: --no-deps \
    --require-hashes --requirement "$locks/uv.lock" --target "$1/uv" >>"$log" 2>&1 || index_failed
}

# provide_python VERSION: its path, from this machine or else from uv.
provide_python() {
  find_python "$1" && return
  if ! uv python find --managed-python --no-python-downloads "$1" 2>/dev/null; then
    printf '%s: no whole Python %s on this machine; uv fetches one ...\n' "${0##*/}" "$1" >&2
    uv python install "$1" >>"$log" 2>&1 ||
      fail "a whole Python $1 is neither on PATH nor under pyenv, and uv could not fetch one; install it (pyenv install $1, say) and start again; details: $log"
    uv python find --managed-python "$1" 2>>"$log" || fail "uv has no Python $1; details: $log"
  fi
}

# use_cache NAME: sets `cache` to the folder for environments of that name.
use_cache() {
  [[ -n ${XDG_CACHE_HOME:-}${HOME:-} ]] || fail 'neither HOME nor XDG_CACHE_HOME is set; caches go under them'
  cache="${XDG_CACHE_HOME:-${HOME:-}/.cache}/strata/$1"
}

# begin_set_up WHAT: sets `new`, a folder to make an environment in, and `log`, and has
# the locked uv on PATH. To be called in a subshell: it sets traps and PATH.
begin_set_up() {
  local unwritable="cannot write $cache; set XDG_CACHE_HOME to a folder that can be written"
  mkdir -p "$cache" 2>/dev/null || fail "$unwritable"
  # What killed starts left; another shell may be at it as well.
  find "$cache" -maxdepth 1 -name '.new.*' -mtime +0 -exec rm -rf {} + 2>/dev/null || true
  new=$(mktemp -d "$cache/.new.XXXXXX") || fail "$unwritable"
  log="$new.log"
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  printf '%s: first start: setting up %s ...\n' "${0##*/}" "$1" >&2

  # The locked one, as an older one may lack what is asked of it.
  if [[ "$(uv --version 2>/dev/null)" != "uv $(sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$locks/uv.lock")"* ]]; then
    install_uv "$new"
    PATH="$new/uv/bin:$PATH"
  fi
}

# make_venv PYTHON LOCK: a virtual environment in the folder, with what the lock names.
make_venv() {
  uv venv --quiet --relocatable --python "$1" "$new/venv" >>"$log" 2>&1 ||
    fail "$1 makes no virtual environment; details: $log"
  uv pip sync --quiet --compile-bytecode --require-hashes --python "$new/venv" "$2" >>"$log" 2>&1 || index_failed
}

# end_set_up PYTHON: gives the environment its name, `home`, whole and last. Of two shells
# that started at once the slower one throws its own away; one that lost its Python
# makes room.
end_set_up() {
  rm -rf "$new/uv" "$new/seed" "$new"/*.deb
  if [[ -e $home ]] && ! is_set_up; then
    mv "$home" "$new/broken"
  fi
  "$1" -c 'import os, sys; os.rename(*sys.argv[1:])' "$new" "$home" 2>>"$log" || is_set_up ||
    fail "cannot write $home; details: $log"
  rm -rf "$new" "$log" "$home/broken"
}
