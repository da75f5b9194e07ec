"""The words behind signs and abbreviations of English: tables only."""

from __future__ import annotations

from typing import NamedTuple

from voice_pipeline.text.rules import words


class Currency(NamedTuple):
    """``cents`` is empty for a currency whose small unit is not used."""

    name: str
    plural: str
    cent: str = ""
    cents: str = ""


CURRENCIES = {
    "$": Currency("dollar", "dollars", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₩": Currency("won", "won"),
    "₽": Currency("ruble", "rubles", "kopeck", "kopecks"),
    "₿": Currency("bitcoin", "bitcoins"),
    "₺": Currency("lira", "lira"),
    "₪": Currency("shekel", "shekels"),
    "₱": Currency("peso", "pesos"),
    "₫": Currency("dong", "dong"),
    "₦": Currency("naira", "naira"),
    "₴": Currency("hryvnia", "hryvnia"),
}
CURRENCY_PREFIXES = {
    "US": "u s",
    "U.S.": "u s",
    "CA": "canadian",
    "C": "canadian",
    "AU": "australian",
    "A": "australian",
    "NZ": "new zealand",
    "HK": "hong kong",
    "S": "singapore",
    "R": "",
}
CURRENCY_CODES = {
    "USD": ("u s dollar", "u s dollars"),
    "EUR": ("euro", "euros"),
    "GBP": ("british pound", "british pounds"),
    "JPY": ("japanese yen", "japanese yen"),
    "CHF": ("swiss franc", "swiss francs"),
    "CAD": ("canadian dollar", "canadian dollars"),
    "AUD": ("australian dollar", "australian dollars"),
    "CNY": ("chinese yuan", "chinese yuan"),
    "INR": ("indian rupee", "indian rupees"),
    "Rs.": ("rupee", "rupees"),
    "Rs": ("rupee", "rupees"),
}
SCALES = {
    "hundred": "hundred",
    "thousand": "thousand",
    "million": "million",
    "billion": "billion",
    "trillion": "trillion",
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "MM": "million",
    "bn": "billion",
    "b": "billion",
    "B": "billion",
    "tn": "trillion",
    "T": "trillion",
}


def _units() -> dict[str, tuple[str, str]]:
    units: dict[str, tuple[str, str]] = {}

    def add(symbols: str, name: str, names: str | None = None) -> None:
        for symbol in symbols.split(" "):
            units[symbol] = (name, names or name + "s")

    for prefix, word in (("", ""), ("k", "kilo"), ("c", "centi"), ("m", "milli"), ("n", "nano"), ("mu", "micro")):
        add(f"{prefix}m", f"{word}meter")
        add(f"{prefix}m^2 {prefix}m2", f"square {word}meter")
        add(f"{prefix}m^3 {prefix}m3", f"cubic {word}meter")
    for prefix, word in (("", ""), ("k", "kilo"), ("m", "milli"), ("mu", "micro")):
        add(f"{prefix}g", f"{word}gram")
    for prefix, word in (("", ""), ("c", "centi"), ("d", "deci"), ("m", "milli")):
        add(f"{prefix}l {prefix}L", f"{word}liter")
    for prefix, word in (("", ""), ("k", "kilo"), ("M", "mega"), ("G", "giga"), ("T", "tera")):
        add(f"{prefix}Hz", f"{word}hertz", f"{word}hertz")
        if word:
            add(f"{prefix}B", f"{word}byte")
            add(f"{prefix}bps {prefix}b/s {prefix}bit/s", f"{word}bit per second", f"{word}bits per second")
            add(f"{prefix}B/s", f"{word}byte per second", f"{word}bytes per second")
            add(f"{prefix}Wh", f"{word}watt hour")
            add(f"{prefix}W", f"{word}watt")
    add("KB kb", "kilobyte")
    add("Mb", "megabit")
    add("Gb", "gigabit")
    add("PB", "petabyte")
    add("W", "watt")
    add("V", "volt")
    add("kV", "kilovolt")
    add("mV", "millivolt")
    add("mA", "milliamp")
    add("mAh", "milliamp hour")
    add("dB", "decibel")
    add("dBFS", "decibel full scale", "decibels full scale")
    add("kJ", "kilojoule")
    add("Pa", "pascal")
    add("kPa", "kilopascal")
    add("hPa", "hectopascal")
    add("kcal", "kilocalorie")
    add("cal", "calorie")
    add("psi", "pound per square inch", "pounds per square inch")
    add("rpm", "revolution per minute", "revolutions per minute")
    add("fps", "frame per second", "frames per second")
    add("px", "pixel")
    add("mph MPH", "mile per hour", "miles per hour")
    add("kph kmh", "kilometer per hour", "kilometers per hour")
    add("kn", "knot")
    add("mpg", "mile per gallon", "miles per gallon")
    add("m/s^2", "meter per second squared", "meters per second squared")
    add("ms", "millisecond")
    add("ns", "nanosecond")
    add("mus", "microsecond")
    add("s sec secs", "second")
    add("min mins", "minute")
    add("h hr hrs", "hour")
    add("yr yrs", "year")
    add("wk wks", "week")
    add("ft ft.", "foot", "feet")
    add("in.", "inch", "inches")
    add("yd yds", "yard")
    add("mi", "mile")
    units["sq ft"] = units["sq. ft."] = ("square foot", "square feet")
    units["sq mi"] = ("square mile", "square miles")
    units["sq km"] = ("square kilometer", "square kilometers")
    add("ft^2", "square foot", "square feet")
    add("oz", "ounce")
    units["fl oz"] = ("fluid ounce", "fluid ounces")
    add("lb lbs", "pound")
    add("gal", "gallon")
    add("qt", "quart")
    add("tsp", "teaspoon")
    add("tbsp", "tablespoon")
    add("hour", "hour")
    add("day", "day")
    add("week", "week")
    add("month mo", "month")
    add("year", "year")
    add("pt pts", "point")
    add("ha", "hectare")
    add("mol", "mole")
    return units


UNITS = _units()

# Abbreviations with a full stop. A dot inside is written here as in the text.
TITLES = {
    "Mr": "mister",
    "Mrs": "missus",
    "Ms": "miz",
    "Messrs": "messieurs",
    "Prof": "professor",
    "Rev": "reverend",
    "Hon": "honorable",
    "Gen": "general",
    "Col": "colonel",
    "Maj": "major",
    "Capt": "captain",
    "Cmdr": "commander",
    "Lt": "lieutenant",
    "Sgt": "sergeant",
    "Cpl": "corporal",
    "Pvt": "private",
    "Adm": "admiral",
    "Sen": "senator",
    "Rep": "representative",
    "Gov": "governor",
    "Pres": "president",
    "Supt": "superintendent",
    "Fr": "father",
    "Sr": "senior",
    "Mt": "mount",
    "Ft": "fort",
}
# Months and days, written with a capital and a full stop.
CALENDAR = {
    "Jan": "january",
    "Feb": "february",
    "Mar": "march",
    "Apr": "april",
    "Jun": "june",
    "Jul": "july",
    "Aug": "august",
    "Sep": "september",
    "Sept": "september",
    "Oct": "october",
    "Nov": "november",
    "Dec": "december",
    "Mon": "monday",
    "Tue": "tuesday",
    "Tues": "tuesday",
    "Wed": "wednesday",
    "Thu": "thursday",
    "Thur": "thursday",
    "Thurs": "thursday",
    "Fri": "friday",
    "Sat": "saturday",
    "Sun": "sunday",
}
# Before a number only: "no. 5", "p. 12".
BEFORE_NUMBER = {
    "no": "number",
    "nos": "numbers",
    "p": "page",
    "pp": "pages",
    "vol": "volume",
    "vols": "volumes",
    "ch": "chapter",
    "chap": "chapter",
    "sec": "section",
    "sect": "section",
    "fig": "figure",
    "figs": "figures",
    "eq": "equation",
    "art": "article",
    "op": "opus",
    "tel": "telephone",
    "ext": "extension",
    "apt": "apartment",
    "rm": "room",
    "par": "paragraph",
    "v": "version",
    "ver": "version",
    "c": "circa",
    "ca": "circa",
}
# Anywhere; a sentence may end with them.
ABBREVIATIONS = {
    "vs": "versus",
    "etc": "et cetera",
    "e.g": "for example",
    "i.e": "that is",
    "a.k.a": "also known as",
    "et al": "et al",
    "cf": "compare",
    "viz": "namely",
    "approx": "approximately",
    "appt": "appointment",
    "assn": "association",
    "assoc": "association",
    "attn": "attention",
    "ave": "avenue",
    "blvd": "boulevard",
    "bldg": "building",
    "bros": "brothers",
    "corp": "corporation",
    "dept": "department",
    "est": "established",
    "govt": "government",
    "hwy": "highway",
    "inc": "incorporated",
    "incl": "including",
    "intl": "international",
    "jr": "junior",
    "ltd": "limited",
    "misc": "miscellaneous",
    "natl": "national",
    "pkwy": "parkway",
    "pl": "place",
    "rd": "road",
    "sq": "square",
    "tpke": "turnpike",
    "univ": "university",
    "w/o": "without",
    "ph.d": "p h d",
    "p.s": "p s",
    "st": "street",
    "co": "company",
    "a.m": "ay m",
    "p.m": "p m",
}

# Acronyms said as words, whatever the lexicon thinks of them.
SAID_AS_WORDS = words(
    "aids ascii asap covid fema fifa gif ikea jpeg laser lidar nafta nasa nasdaq nato navy norad opec osha pin "
    "radar ram rom scuba sonar swat unesco unicef wasp wifi yolo zip ok"
)
# Capitals that the lexicon has as words, yet that are spelled.
SPELLED = words(
    "us uk un eu it ai pa la tv dj cd pc id ip er ad pr hr vp mc ms ma ba si ar al de ne re ed op ca ct mi "
    "aka eeg est eta ide led mia mit nec ngo pow roi sec ups uri"
)
# Two capitals that are a word in capitals.
SHORT_WORDS = words("ok no so if or to in on at by my we he be do go up am an as is of oh me hi ha ah ye yo us it")
