#!/usr/bin/env bash
# Installs what all nodes of `ray up` need, once, on an instance of which a machine image is made. README.md copies
# constraints.txt into this script, which runs as user data when the instance starts, and which stops the instance.
#
# Nodes that install torch themselves would take minutes of GPU time each, again after every loss of a spot node.
set -euo pipefail

cat > /home/ubuntu/constraints.txt <<'END'
# constraints.txt
END

apt-get update
apt-get install --yes --no-install-recommends g++ python3-pip
sudo -u ubuntu bash -euc '
  python3 -m pip install --break-system-packages --target ~/uv uv==0.13.8
  ~/uv/bin/uv venv --python 3.11 ~/venv
  ~/uv/bin/uv pip install --python ~/venv/bin/python --requirement ~/constraints.txt
  ~/uv/bin/uv cache clean
'
shutdown --poweroff now
