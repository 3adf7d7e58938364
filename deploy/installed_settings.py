"""installed_settings.py COMMENTED.toml: the settings of an installed appliance, on standard output.

They are the commented defaults, but for what only an installation has: a folder for logs that belongs
to the control plane's user, and a group whose members may use `ipfw`.
"""

import sys

CHANGES = {'control_group = ""': 'control_group = "sluice"',
           'log_file = "/var/log/ipfw.log"': 'log_file = "/var/log/sluice/ipfw.log"',
           'audit_log = ""': 'audit_log = "/var/log/sluice/audit.log"'}

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
for old, new in CHANGES.items():
    if text.count("\n" + old + "\n") != 1:
        sys.exit(f"{sys.argv[1]} does not say {old} once")
    text = text.replace("\n" + old + "\n", "\n" + new + "\n")
sys.stdout.write(text)
