"""Writes documents with known contents, by Faker and published check digit rules, sharing nothing with the detectors.

Usage: labelled.py FOLDER SEED COUNT. Each document is FOLDER/NNNNN.txt; FOLDER/labels.jsonl has, for each, the kind, start and
end (bytes) of what it holds. A third of the lines hold a value of such a shape that is none, and have no label.

What counts as right: a finding of the labelled kind that overlaps the labelled place. Any other finding of any kind is
wrong, whatever it says: also a second kind told of a labelled place. A value that is none breaks a published rule of its own
kind (check digit, range, length) and keeps every rule of no other kind: one that happens to be right as something else (a
spoiled tax number that is a mobile number of China's plan, 9xx-xx-xxxx of the groups given out to taxpayers, a spoiled
identity number whose check sign is right for a company) is drawn again, for no reader could tell it from a true one.
"""

import json
import random
import sys
from pathlib import Path

from faker import Faker

folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
Faker.seed(seed)
chance = random.Random(seed)
zh, en, de = Faker("zh_CN"), Faker("en_US"), Faker("de_DE")


def luhn_fails(digits):
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 != 0


def other_last(text, signs="0123456789"):
    """The same with another last sign, so that its check fails."""
    return text[:-1] + chance.choice([sign for sign in signs if sign != text[-1]])


def grouped(digits, *widths):
    parts, at = [], 0
    for width in widths:
        parts.append(digits[at : at + width])
        at += width
    return chance.choice([" ", "-"]).join(parts)


def card():
    number = en.credit_card_number(card_type=chance.choice(["visa16", "mastercard", "amex", "discover"]))
    if len(number) == 16 and chance.random() < 0.5:
        return grouped(number, 4, 4, 4, 4)
    return number


def uscc():
    signs, weights = "0123456789ABCDEFGHJKLMNPQRTUWXY", [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
    region = zh.ssn()[:6]
    body = "91" + region + "".join(chance.choice(signs) for _ in range(9))
    value = (31 - sum(signs.index(sign) * weight for sign, weight in zip(body, weights)) % 31) % 31
    return body + signs[value]


def tax_id():
    while True:
        digits = [chance.randint(1, 9)] + [chance.randint(0, 9) for _ in range(9)]
        counts = sorted(digits.count(digit) for digit in set(digits))
        if counts[-1] == 2 and counts.count(2) == 1:
            break
    product = 10
    for digit in digits:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return "".join(map(str, digits)) + str((11 - product) % 10)


def nhs():
    while True:
        body = [chance.randint(0, 9) for _ in range(9)]
        check = 11 - sum(digit * weight for digit, weight in zip(body, range(10, 1, -1))) % 11
        if check != 10:
            return grouped("".join(map(str, body)) + str(check % 11), 3, 3, 4)


def token(prefix, signs, length):
    return prefix + "".join(chance.choice(signs) for _ in range(length))


ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


# kind, the value, sentences in which it stands
def pick():
    kinds = [
        ("cn-resident-id", zh.ssn(), ["身份证号码：{}，请核对。", "患者{}已登记", "id {}"]),
        ("cn-mobile", zh.phone_number(), ["联系电话：{}", "请致电{}，谢谢", "mobile={}"]),
        ("bank-card", card(), ["Card on file: {}.", "please charge {} today", "卡号{}"]),
        ("cn-uscc", uscc(), ["统一社会信用代码：{}", "公司代码 {}。"]),
        ("iban", chance.choice([de.iban(), Faker("en_GB").iban()]), ["IBAN {}", "Bitte auf {} überweisen."]),
        ("email", chance.choice([en, de, zh]).free_email(), ["mail {} about it", "邮箱：{}", "<{}>"]),
        ("us-ssn", en.ssn(), ["SSN: {}", "his number is {}."]),
        ("ip-address", en.ipv4_public(), ["from {} port 22", '{{"client":"{}"}}']),
        ("ip-address", en.ipv6(), ["address {} up"]),
        ("mac-address", en.mac_address(), ["ether {}", "hw={}"]),
        ("phone", en.basic_phone_number(), ["call {} now", "Phone: {}"]),
        ("de-tax-id", tax_id(), ["Steuer-ID: {}", "Meine Steueridentifikationsnummer ist {}."]),
        ("uk-nhs", nhs(), ["NHS number {}", "patient {} was seen"]),
        ("jwt", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI%s.%s" % (token("", ALNUM, 20), token("", ALNUM, 43)), ["Cookie: {}"]),
        ("github-pat", token("ghp_", ALNUM, 36), ["export T={}", "token {} leaked"]),
        ("aws-access-key", token("AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), ["key {}", "id: {},"]),
        ("date-of-birth", str(en.date_of_birth()), ["DOB: {}", "出生日期：{}"]),
    ]
    return chance.choice(kinds)


def uscc_fits(text):
    signs, weights = "0123456789ABCDEFGHJKLMNPQRTUWXY", [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
    if len(text) != 18 or any(sign not in signs for sign in text):
        return False
    return (31 - sum(signs.index(sign) * weight for sign, weight in zip(text, weights)) % 31) % 31 == signs.index(text[-1])


def is_something_else(text):
    """Whether a spoiled value keeps all rules of another kind: a company's code, a mobile number, a taxpayer's number."""
    mobile = len(text) == 11 and text.isdigit() and text[0] == "1" and text[1] in "3456789"
    taxpayer = len(text) == 11 and text[0] == "9" and text[3] == "-" and 50 <= int(text[4:6]) <= 99
    return uscc_fits(text) or mobile or taxpayer


def broken():
    """A value of the right shape that is none."""
    while is_something_else(value := broken_value()):
        pass
    return value


def broken_value():
    kinds = [
        other_last(zh.ssn(), "0123456789"),
        other_last(en.credit_card_number(card_type="visa16")),
        other_last(uscc()),
        other_last(de.iban()),
        "%03d-%02d-%04d" % (chance.choice([0, 666, 900]), chance.randint(1, 99), chance.randint(1, 9999)),
        other_last(tax_id()),
        "%d.%d.%d.%d" % (chance.randint(256, 999), *(chance.randint(0, 255) for _ in range(3))),
        "ghp_" + token("", ALNUM, 20),
        "10%09d" % chance.randint(0, 10**9 - 1),
        en.uuid4(),
        "v%d.%d.%d" % tuple(chance.randint(0, 99) for _ in range(3)),
        en.isbn13(),
        token("", "0123456789abcdef", 40),
    ]
    return chance.choice(kinds)


with open(folder / "labels.jsonl", "w") as labels:
    for number in range(count):
        text, marks = "", []
        for _ in range(chance.randint(1, 4)):
            text += chance.choice([en.sentence(), de.sentence(), zh.sentence()]) + "\n"
            if chance.random() < 1 / 3:
                text += chance.choice(["No. {} of the series.\n", "编号{}。\n", "ref={};\n"]).format(broken())
                continue
            kind, value, frames = pick()
            before, after = chance.choice(frames).replace("{{", "\0").replace("}}", "\1").split("{}")
            before, after = (part.replace("\0", "{").replace("\1", "}") for part in (before, after))
            start = len((text + before).encode())
            marks.append({"kind": kind, "start": start, "end": start + len(value.encode())})
            text += before + value + after + "\n"
        name = "%05d.txt" % number
        (folder / name).write_text(text)
        labels.write(json.dumps({"path": name, "labels": marks}) + "\n")
