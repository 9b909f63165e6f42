#!/usr/bin/env python3
"""An invented clinic: patients, visits and free-text notes, the same from the same seed.

    python3 generate.py FOLDER [PATIENTS [SEED]]

Nobody in it exists. Names are put together from lists of common ones, resident ids and phone numbers have the form and the check
digits of real ones with invented parts, addresses are of streets that many cities have. Ages, illnesses and medicines have roughly
the frequencies of a general hospital.
"""

import csv
import datetime
import os
import sys

TODAY = datetime.date(2026, 6, 30)
SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建国文辉力永健世广志义兴良海山仁波宁贵福生龙元全胜学祥才发武新利清飞彬富顺信子"
FIRST = """James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica Thomas
Sarah Charles Karen Daniel Lisa Matthew Nancy Anthony Betty Mark Sandra Donald Ashley Steven Emily Paul Kimberly Andrew Donna""".split()
LAST = """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Wilson Anderson Thomas Taylor
Moore Jackson Martin Lee Perez Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill""".split()
# Code of the district, its name, the first four digits of its postcodes, how many of a hundred live there.
DISTRICTS = [
    ("110101", "北京市东城区", "1000", 14), ("110105", "北京市朝阳区", "1001", 22), ("110108", "北京市海淀区", "1000", 20),
    ("310101", "上海市黄浦区", "2000", 12), ("310115", "上海市浦东新区", "2012", 16), ("440106", "广州市天河区", "5106", 9),
    ("510104", "成都市锦江区", "6100", 7),
]
STREETS = "人民路 中山路 解放路 建设路 和平路 新华路 文化路 长江路 胜利路 光明路".split()
ENGLISH_STREETS = "High Street,Station Road,Park Avenue,Church Lane,Mill Road,Queen Street".split(",")
# ICD-10, illness, medicine, how common, from which age on, which sex.
ILLNESSES = [
    ("I10", "essential hypertension", "amlodipine 5 mg", 190, 35, ""), ("E11.9", "type 2 diabetes", "metformin 500 mg", 110, 35, ""),
    ("J06.9", "upper respiratory infection", "paracetamol 500 mg", 150, 0, ""), ("K29.7", "gastritis", "omeprazole 20 mg", 70, 16, ""),
    ("J45.9", "asthma", "salbutamol inhaler", 45, 0, ""), ("M54.5", "low back pain", "ibuprofen 400 mg", 80, 18, ""),
    ("F32.9", "depressive episode", "sertraline 50 mg", 40, 14, ""), ("I25.1", "coronary heart disease", "aspirin 100 mg", 60, 45, ""),
    ("I21.4", "myocardial infarction", "clopidogrel 75 mg", 12, 45, ""), ("N39.0", "urinary tract infection", "nitrofurantoin 100 mg", 45, 5, ""),
    ("J18.9", "pneumonia", "amoxicillin 500 mg", 35, 0, ""), ("C50.9", "breast cancer", "tamoxifen 20 mg", 8, 35, "F"),
    ("C34.9", "lung cancer", "osimertinib 80 mg", 7, 50, ""), ("B18.1", "chronic hepatitis B", "entecavir 0.5 mg", 18, 18, ""),
    ("B20", "HIV disease", "dolutegravir 50 mg", 2, 18, ""), ("O80", "normal delivery", "oxytocin", 25, 20, "F40"),
    ("S52.5", "fracture of the forearm", "paracetamol 500 mg", 22, 3, ""), ("H25.9", "cataract", "eye drops", 35, 60, ""),
    ("G43.9", "migraine", "sumatriptan 50 mg", 25, 14, ""), ("L20.9", "atopic dermatitis", "hydrocortisone cream", 35, 0, ""),
]


class Random:
    """SplitMix64, so that every version of Python makes the same clinic."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % bound

    def of(self, choices):
        return choices[self.below(len(choices))]

    def weighted(self, choices, weight):
        left = self.below(sum(weight(choice) for choice in choices))
        for choice in choices:
            left -= weight(choice)
            if left < 0:
                return choice


def resident_id(random, district, born, sex):
    order = random.below(499) * 2 + (1 if sex == "M" else 2)
    first = f"{district}{born:%Y%m%d}{order % 1000:03d}"
    total = sum(int(digit) * 2 ** (17 - place) % 11 for place, digit in enumerate(first))
    return first + "10X98765432"[total % 11]


def patient(random, number):
    # Two draws make a hill with a long tail: many between thirty and seventy, few above ninety.
    age = (random.below(70) + random.below(40)) if random.below(100) < 92 else 70 + random.below(29)
    born = TODAY - datetime.timedelta(days=age * 365 + age // 4 + random.below(365))
    sex = random.of("MF")
    district, city, post, _ = random.weighted(DISTRICTS, lambda row: row[3])
    is_foreign = random.below(100) < 6
    if is_foreign:
        name = f"{random.of(FIRST)} {random.of(LAST)}"
        phone = f"+1-{201 + random.below(700)}-555-{100 + random.below(100):04d}"
        address = f"Flat {1 + random.below(40)}, {1 + random.below(300)} {random.of(ENGLISH_STREETS)}, {city}"
    else:
        name = random.of(SURNAMES) + "".join(random.of(GIVEN) for _ in range(1 if random.below(100) < 18 else 2))
        phone = random.of(["138", "139", "150", "186", "177", "135"]) + f"{random.below(10**8):08d}"
        address = f"{city}{random.of(STREETS)}{1 + random.below(300)}号{1 + random.below(30)}室"
    return {
        "patient": f"P{number:06d}", "name": name, "resident_id": resident_id(random, district, born, sex), "phone": phone,
        "address": address, "postcode": post + f"{random.below(10)}0", "born": born.isoformat(),
        "age": max(0, (TODAY - born).days // 365), "sex": sex,
    }


def illness(random, who):
    def weight(row):
        fits_sex = row[5] == "" or row[5][0] == who["sex"]
        fits_age = who["age"] >= row[4] and not (row[5].endswith("40") and who["age"] > 45)
        return row[3] if fits_sex and fits_age else 0

    return random.weighted(ILLNESSES, weight)


def note(random, who, what, day):
    name, phone = who["name"], who["phone"]
    return random.of([
        f"{name} seen on {day}: {what[1]}. Call {phone} with the results.",
        f"患者{name}，{who['age']}岁，诊断{what[0]}，联系电话{phone}，身份证{who['resident_id']}。",
        f"{what[1]} stable under {what[2]}; lives at {who['address']}.",
        f"{what[1]}, no complaints, next visit in three months.",
        f"家属来电，{name}症状好转，继续{what[2]}。",
    ])


def main():
    folder = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    random = Random(int(sys.argv[3]) if len(sys.argv) > 3 else 7)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "patients.csv"), "w", newline="", encoding="utf-8") as patients, \
            open(os.path.join(folder, "visits.csv"), "w", newline="", encoding="utf-8") as visits:
        people, stays = csv.writer(patients, lineterminator="\n"), csv.writer(visits, lineterminator="\n")
        stays.writerow(["visit", "patient", "day", "diagnosis", "medication", "systolic", "cost", "note"])
        visit = 0
        for number in range(1, count + 1):
            who = patient(random, number)
            main_illness = illness(random, who)
            if number == 1:
                people.writerow([*who, "diagnosis"])
            people.writerow([*who.values(), main_illness[0]])
            for turn in range(1 + min(random.below(4), random.below(6))):
                what = main_illness if turn == 0 or random.below(2) else illness(random, who)
                day = TODAY - datetime.timedelta(days=random.below(730))
                visit += 1
                pressure = 105 + random.below(30) + (25 if what[0] == "I10" else 0)
                cost = f"{20 + random.below(40) * random.below(40)}.{random.below(100):02d}"
                stays.writerow([f"V{visit:07d}", who["patient"], day.isoformat(), what[0], what[2], pressure, cost, note(random, who, what, day)])


main()
