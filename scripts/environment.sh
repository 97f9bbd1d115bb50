# Sourced by ./quickstart and ./test: finds or creates their Python environment.
# shellcheck shell=sh

# Prints the first Python that is new enough. If PYTHON is set, only that one is tried.
find_python() {
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  echo "valkey-vector needs Python 3.11 or newer; tried: ${PYTHON:-python3.13 python3.12 python3.11 python3 python}." >&2
  echo "Install one (https://www.python.org/downloads/), or name it: PYTHON=/path/to/python $0" >&2
  return 1
}

# use_environment ROOT EXTRAS: sets $environment_python to a Python that has the project with EXTRAS.
# VALKEY_VECTOR_VENV names an existing environment. Otherwise ROOT/.venv is created or reused, and the
# project is installed again whenever pyproject.toml has changed.
use_environment() {
  root=$1
  extras=$2
  if [ -n "${VALKEY_VECTOR_VENV:-}" ]; then
    environment_python=$VALKEY_VECTOR_VENV/bin/python
    if [ ! -x "$environment_python" ]; then
      echo "VALKEY_VECTOR_VENV is $VALKEY_VECTOR_VENV, but it has no bin/python." >&2
      return 1
    fi
    return 0
  fi

  venv=$root/.venv
  environment_python=$venv/bin/python
  # An environment without a working Python (upgraded, or the folder was moved) is created again.
  if ! "$environment_python" -c '' 2>/dev/null || ! [ -f "$venv/.created-in" ] ||
    [ "$(cat "$venv/.created-in")" != "$root" ]; then
    python=$(find_python) || return 1
    echo "==> Creating .venv with $("$python" --version)"
    if ! "$python" -m venv --clear "$venv"; then
      echo "Python could not create an environment: its venv module is missing (Debian, Ubuntu: apt install python3-venv)." >&2
      return 1
    fi
    printf '%s\n' "$root" >"$venv/.created-in"
  fi

  stamp=$venv/.installed-$(echo "$extras" | tr ',' '-')
  wanted=$(cksum <"$root/pyproject.toml")
  if ! [ -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    echo "==> Installing valkey-vector[$extras] into .venv (a minute or two the first time)"
    "$environment_python" -m pip install --quiet --quiet --disable-pip-version-check \
      --editable "$root[$extras]" || return 1
    printf '%s\n' "$wanted" >"$stamp"
  fi
}
