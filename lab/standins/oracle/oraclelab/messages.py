# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages in another language than English. The words are the lab's own; that they are not English is the point."""

from __future__ import annotations

import re

PHRASES = [
    (r"^connected to target database", "mit Zieldatenbank verbunden"),
    (r"not started\)", "nicht gestartet)"),
    (r"not mounted\)", "nicht gemountet)"),
    (r", not open\)", ", nicht geöffnet)"),
    (
        r"using target database control file instead of recovery catalog",
        "Kontrolldatei der Zieldatenbank wird statt Recovery-Katalog verwendet",
    ),
    (r"^Recovery Manager complete\.", "Recovery Manager abgeschlossen."),
    (r"^Starting (.*) at ", r"\1 beginnt um "),
    (r"^Finished (.*) at ", r"\1 beendet um "),
    (r"^allocated channel: ", "zugewiesener Kanal: "),
    (r"^released channel: ", "freigegebener Kanal: "),
    (r"^channel ", "Kanal "),
    (r"device type=DISK", "Gerätetyp=DISK"),
    (r"starting piece (\d+) at", r"Stück \1 beginnt um"),
    (r"finished piece (\d+) at", r"Stück \1 beendet um"),
    (r"^piece handle=", "Stück-Handle="),
    (r" comment=NONE", " Kommentar=NONE"),
    (r"^input archived log thread=(\d+) sequence=", r"Eingabe-Archivlog Thread=\1 Sequence="),
    (r"^input datafile file number=(\d+) name=", r"Eingabe-Datendateinummer=\1 Name="),
    (r"backup set complete, elapsed time", "Backup-Satz fertig, abgelaufene Zeit"),
    (r"current log archived", "aktuelles Log archiviert"),
    (r"already backed up", "bereits gesichert"),
    (r"media recovery complete", "Media Recovery abgeschlossen"),
    (r"recovery will be done up to SCN", "Recovery wird durchgeführt bis SCN"),
    (r"^(RMAN-0300[29]): failure of (.*) command", r"\1: Fehler bei Befehl \2"),
    (r"ERROR MESSAGE STACK FOLLOWS", "FEHLERMELDUNGEN FOLGEN"),
    (r"ORACLE not available", "ORACLE nicht verfügbar"),
    (r"database not mounted", "Datenbank ist nicht mit MOUNT angeschlossen"),
    (r"database not open", "Datenbank nicht geöffnet"),
    (r"^Database (opened|mounted|closed|dismounted|altered)\.", r"Datenbank: \1."),
    (r"^(\d+) rows selected\.", r"\1 Zeilen ausgewählt."),
    (r"^no rows selected", "keine Zeilen ausgewählt"),
]


def translated(line: str, nls_lang: str) -> str:
    """The line as the client's language has it: English for AMERICAN and ENGLISH, else our German."""
    if nls_lang.upper().startswith(("AMERICAN", "ENGLISH")):
        return line
    for english, german in PHRASES:
        line = re.sub(english, german, line)
    return line
