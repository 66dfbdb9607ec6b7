//! Inventories in the shapes that public repositories have, with names of our own.

pub struct Shape {
    pub name: &'static str,
    pub files: &'static [(&'static str, &'static str)],
    pub paths: &'static [&'static str],
}

const fn shape(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    paths: &'static [&'static str],
) -> Shape {
    Shape { name, files, paths }
}

const CLUSTER: &str = "\
[kube_control_plane]
cp1 ansible_host=10.3.0.1 ip=10.3.0.1 etcd_member_name=etcd1
cp2 ansible_host=10.3.0.2 ip=10.3.0.2 etcd_member_name=etcd2

[etcd:children]
kube_control_plane

[kube_node]
worker[1:3] node_labels=\"{'disk': 'nvme', 'zone': 'a'}\"

[calico_rr]

[k8s_cluster:children]
kube_node
calico_rr
kube_control_plane

[all:vars]
ansible_user=core
ansible_become=True
";

const K3S: &str = "\
---
k3s_cluster:
  children:
    server:
      hosts:
        192.0.2.10:
        192.0.2.11:
          extra_server_args: \"--disable traefik\"
    agent:
      hosts:
        192.0.2.[20:22]:
  vars:
    ansible_port: 22
    ansible_user: debian
    k3s_version: v1.30.2+k3s1
    token: \"changeme!\"
    api_endpoint: \"{{ hostvars[groups['server'][0]]['ansible_host'] | default(groups['server'][0]) }}\"
";

const OPENSHIFT: &str = "\
[OSEv3:children]
masters
nodes
etcd
lb

[OSEv3:vars]
ansible_ssh_user=root
openshift_deployment_type=origin
openshift_master_identity_providers=[{'name': 'htpasswd_auth', 'login': 'true', 'challenge': 'true'}]
openshift_master_default_subdomain=apps.example.test
#debug_level=2
osm_cluster_network_cidr=10.128.0.0/14

[masters]
master.example.test

[etcd]
master.example.test

[lb]
lb.example.test containerized=False

[nodes]
master.example.test openshift_node_group_name='node-config-master'
node[1:2].example.test openshift_node_group_name=\"node-config-compute\" openshift_hostname=x
";

const STORAGE: &str = "\
[mons]
ceph-mon[01:03]

[mgrs]
ceph-mon01

[osds]
ceph-osd[001:012] devices=\"['/dev/sdb','/dev/sdc']\" dedicated_devices='[\"/dev/nvme0n1\"]'

[rgws]
ceph-rgw-[a:b] rgw_port=8080

[clients:children]
rgws
";

const ENVIRONMENTS: &str = "\
all:
  children:
    production:
      children:
        prod_web:
        prod_db:
      vars: {env: production}
    staging:
      children:
        stage_web:
          hosts:
            stage-web1: {ansible_host: 198.51.100.7, weight: 010}
      vars: {env: staging, debug: yes}
    web:
      children:
        prod_web:
          hosts:
            web[01:04].prod.example:
              http_port: 80
        stage_web: {}
      vars: {http_port: 8080}
    db:
      children:
        prod_db:
          hosts: db1.prod.example
    bare:
  vars:
    ansible_python_interpreter: /usr/bin/python3
    ntp_servers: [a.ntp.example, b.ntp.example]
";

const EC2: &str = r#"#!/usr/bin/env python3
import json
import sys

if "--host" in sys.argv:
    sys.exit("nobody should ask")
print(json.dumps({
    "_meta": {"hostvars": {
        "i-0a": {"ansible_host": "203.0.113.5", "tags": {"Name": "web", "Env": "prod"}, "placement": {"region": "eu-1"}},
        "i-0b": {"ansible_host": "203.0.113.6", "ansible_port": 2200},
        "i-unlisted": {"ansible_host": "203.0.113.7"},
    }},
    "all": {"children": ["ungrouped", "aws_ec2", "tag_Env_prod"]},
    "aws_ec2": {"hosts": ["i-0a", "i-0b"], "vars": {"ansible_user": "ec2-user"}},
    "tag_Env_prod": {"hosts": ["i-0a"], "children": ["deeper"]},
    "deeper": {"vars": {"x": 1.50}},
    "old": ["i-0b", "i-old"],
    "alone": {"ansible_host": "203.0.113.9"},
}))
"#;

const OLD_SCRIPT: &str = r#"#!/bin/sh
case "$1" in
--list) echo '{"web": {"hosts": ["w1", "w2"], "vars": {"a": 1}}, "db": ["d1"]}' ;;
--host) case "$2" in w1) echo '{"b": "two", "a": 3}' ;; *) echo '{}' ;; esac ;;
esac
"#;

const VAULTED: &str = "\
---
user: deploy
secret: !vault |
          $ANSIBLE_VAULT;1.1;AES256
          62313365396662343061393464336163
          3764
templated: \"{{ secret }}-x\"
";

pub const SHAPES: &[Shape] = &[
    shape("a cluster with etcd", &[("inventory.ini", CLUSTER)], &["inventory.ini"]),
    shape("a small cluster in YAML", &[("inventory.yml", K3S)], &["inventory.yml"]),
    shape("a platform with children first", &[("hosts", OPENSHIFT)], &["hosts"]),
    shape("a storage cluster", &[("hosts", STORAGE)], &["hosts"]),
    shape("environments across groups", &[("site.yaml", ENVIRONMENTS)], &["site.yaml"]),
    shape(
        "environments with folders of variables",
        &[
            (
                "production/hosts",
                "[web]\nweb1\nweb2\n[db]\ndb1\n[eu:children]\nweb\ndb\n[web:vars]\ntier=ini\nport=1\n",
            ),
            ("production/group_vars/all.yml", "tier: all\nntp: [a, b]\n"),
            ("production/group_vars/web.yml", "tier: web\n"),
            ("production/group_vars/eu/main.yml", "tier: eu\nregion: eu\n"),
            ("production/group_vars/eu/vault.yml", VAULTED),
            ("production/host_vars/web2.yaml", "tier: own\nregion: {a: 1}\n"),
            ("production/host_vars/db1/x", "role: db\n"),
        ],
        &["production/hosts"],
    ),
    shape(
        "a folder as the inventory",
        &[
            ("inventory/01-hosts.ini", "[ignored]\nnot-here\n"),
            ("inventory/01-hosts", "[web]\nweb1 a=1\n"),
            ("inventory/02-groups.yml", "dc1:\n  children:\n    web:\n  vars:\n    dc: one\n"),
            ("inventory/03-dynamic.sh", OLD_SCRIPT),
            ("inventory/group_vars/all", "everywhere: true\n"),
            ("inventory/more/hosts", "web9 a=9\n"),
            ("inventory/more/group_vars/all", "everywhere: not read from here\n"),
            ("inventory/hosts.bak", "[web]\nold\n"),
            ("inventory/README.md", "# hosts\n"),
        ],
        &["inventory"],
    ),
    shape("a cloud's dynamic inventory", &[("ec2.py", EC2)], &["ec2.py"]),
    shape("a dynamic inventory that is asked for each host", &[("old.sh", OLD_SCRIPT)], &["old.sh"]),
    shape(
        "a dynamic inventory with variables in files",
        &[
            ("ec2.py", EC2),
            ("group_vars/aws_ec2.yml", "ansible_user: ubuntu\n"),
            ("host_vars/i-0a", "x: 2\n"),
        ],
        &["ec2.py"],
    ),
    shape(
        "two inventories, the second wins",
        &[
            ("a/hosts", "[web]\nweb1 x=1 y=1\n[web:vars]\nz=1\n"),
            ("a/group_vars/web", "f: a\n"),
            ("b/hosts", "[web]\nweb1 x=2\n[all:vars]\nz=2\n"),
            ("b/group_vars/web", "f: b\n"),
        ],
        &["a/hosts", "b/hosts"],
    ),
    shape(
        "groups of one depth with priorities",
        &[(
            "hosts",
            "[a]\nh\n[b]\nh\n[c]\nh\n[a:vars]\nv=a\nansible_group_priority=10\n[b:vars]\nv=b\n[c:vars]\nv=c\nansible_group_priority=2\n",
        )],
        &["hosts"],
    ),
    shape(
        "a diamond of groups",
        &[(
            "hosts.yml",
            "top:\n  children:\n    left: {children: {bottom: {hosts: {h: {}}}}}\n    right: {children: {middle: {children: {bottom: }}}}\n  vars: {v: top, t: 1}\nleft: {vars: {v: left}}\nright: {vars: {v: right}}\nmiddle: {vars: {v: middle}}\n",
        )],
        &["hosts.yml"],
    ),
    shape(
        "anchors and merge keys",
        &[(
            "hosts.yml",
            "all:\n  hosts:\n    a: &base {user: x, opts: {k: 1}}\n    b:\n      <<: *base\n      user: y\n    c: *base\n",
        )],
        &["hosts.yml"],
    ),
    shape(
        "odd entries",
        &[(
            "hosts",
            "; a comment\nlone.example.org:2222\n[v6]\n[2001:db8::7]:2200\nsix ansible_host=2001:db8::8\n",
        )],
        &["hosts"],
    ),
    shape(
        "windows, containers and this machine",
        &[(
            "hosts",
            "[windows]\nwin1 ansible_connection=winrm\n[containers]\nbox ansible_connection=docker\n[control]\nlocalhost ansible_connection=local\n[linux]\nlin1 ansible_connection=ssh\n",
        )],
        &["hosts"],
    ),
    shape(
        "bastions and become",
        &[(
            "hosts",
            "[inner]\nin[1:2] ansible_ssh_common_args='-o ProxyCommand=\"ssh -W %h:%p -q gate\"'\n[inner:vars]\nansible_become=yes\nansible_become_user=app\nansible_ssh_private_key_file=~/.ssh/inner\n",
        )],
        &["hosts"],
    ),
    shape(
        "YAML without an extension",
        &[("hosts", "---\nweb:\n  hosts:\n    w1:\n    w2: {a: no}\n")],
        &["hosts"],
    ),
    shape("INI that ends in .yml", &[("hosts.yml", "[web]\nw1 a=1\n")], &["hosts.yml"]),
    shape(
        "JSON",
        &[("hosts.json", "{\"web\": {\"hosts\": {\"w1\": {\"p\": 1e3, \"q\": null}}}}\n")],
        &["hosts.json"],
    ),
];
